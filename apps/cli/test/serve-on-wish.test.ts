import { serveChannel } from '@moraine/contract/serving';
import { testServices } from '@moraine/testing';
import { afterAll, afterEach, expect, test } from 'vitest';
import type { PartEvent } from '../src/up/keep-running.js';
import { type OnWish, type ServingPart, serveOnWish } from '../src/up/serve-on-wish.js';

// Which processes `moraine up` starts and ends as wishes come over a real Redis; the processes are parts that only say that they run.
const t = await testServices();
afterAll(() => t.close());

interface Started {
  base: string;
  /** As a kill -9 does. */
  die(): void;
  isStopped: boolean;
  /** How often it was asked to end. */
  stops: number;
  /** For how long nobody has asked it. */
  idleMs: number;
  hangs: boolean;
}

let started: Started[] = [];
let events: PartEvent[] = [];
let serving: OnWish;
afterEach(() => serving.stop());

function open(options: { processesMax?: number; fails?: () => boolean; drainMs?: number } = {}): void {
  [started, events] = [[], []];
  serving = serveOnWish({
    processesMax: options.processesMax ?? 2,
    pauseMs: 20,
    liveness: { everyMs: 10, hungMs: 50 },
    onEvent: (event) => events.push(event),
    async start(base) {
      if (options.fails?.()) throw new Error('no room');
      return part(base, options.drainMs);
    },
  });
  serving.listen(t.services.redisUrl);
}

function part(base: string, drainMs = 0): ServingPart {
  let die = (): void => undefined;
  const ended = new Promise<void>((resolve) => {
    die = resolve;
  });
  const one: Started = { base, die, isStopped: false, stops: 0, idleMs: 1e6, hangs: false };
  started.push(one);
  const stop = async (): Promise<void> => {
    one.isStopped = true;
    one.stops += 1;
    if (drainMs > 0) setTimeout(die, drainMs);
    else die();
    await ended;
  };
  const kill = async (): Promise<void> => die();
  const watched = { isAlive: async () => !one.hangs, idleMs: () => one.idleMs };
  return { id: { pid: started.length, started: '' }, adopted: false, ended, stop, kill, ...watched };
}

const bases = () => started.map(({ base }) => base[0]);
/** Says a wish until something comes of it, as a request that waits does. */
async function wish(letter: string, isDone: () => boolean): Promise<void> {
  while (!isDone()) {
    await t.services.redis.publish(serveChannel(), JSON.stringify({ base: letter.repeat(64) }));
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

test('a base that is wished for often is started once, and again when its process was killed while it opened', async () => {
  open();
  await wish('a', () => started.length === 1);
  await wish('b', () => started.length === 2);
  let more = 0;
  await wish('a', () => ++more > 5);
  expect(bases()).toEqual(['a', 'b']);
  started[0]?.die();
  await wish('a', () => started.length === 3);
  expect(bases()).toEqual(['a', 'b', 'a']);
});

test('a base more than may run ends the one that was wished for the longest ago', async () => {
  open();
  await wish('a', () => started.length === 1);
  await wish('b', () => started.length === 2);
  let more = 0;
  await wish('a', () => ++more > 2);
  await wish('c', () => started.length === 3);
  expect(started.map(({ base, isStopped }) => [base[0], isStopped])).toEqual([
    ['a', false],
    ['b', true],
    ['c', false],
  ]);
});

test('a base that is asked all the time stays, though nobody had to wish for it again', async () => {
  open();
  await wish('a', () => started.length === 1);
  await wish('b', () => started.length === 2);
  Object.assign(started[0] ?? {}, { idleMs: 0 });
  await wish('c', () => started.length === 3);
  expect(started.map(({ base, isStopped }) => [base[0], isStopped])).toEqual([
    ['a', false],
    ['b', true],
    ['c', false],
  ]);
});

test('a process that hangs is ended, and the next wish starts another', async () => {
  open();
  await wish('a', () => started.length === 1);
  Object.assign(started[0] ?? {}, { hangs: true });
  await wish('a', () => started.length === 2);
  expect(events.map(({ type }) => type)).toEqual(['started', 'hung', 'started']);
});

test('one that makes room is asked once, however often the wish is said while it still answers', async () => {
  open({ processesMax: 1, drainMs: 300 });
  await wish('a', () => started.length === 1);
  let wishes = 0;
  await wish('b', () => ++wishes > 5);
  expect(started.map(({ base, stops }) => [base[0], stops])).toEqual([['a', 1]]);
  await wish('b', () => started.length === 2);
});

test('a start that fails is said and tried again with a later wish; what is no wish is passed over', async () => {
  let tries = 0;
  open({ fails: () => ++tries < 3 });
  await t.services.redis.publish(serveChannel(), 'no wish');
  await wish('d', () => started.length === 1);
  expect(tries).toBe(3);
  expect(events.map(({ type }) => type)).toEqual(['failed', 'failed', 'started']);
  await serving.stop();
  expect(started[0]?.isStopped).toBe(true);
});
