import { setTimeout as sleep } from 'node:timers/promises';
import { newId, type StreamMessage } from '@moraine/contract';
import { type TestServices, testServices } from '@moraine/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Services } from '../../src/ground/context.js';
import { followRuns, type RunEntry } from '../../src/ground/follow-runs.js';
import { lastEventId } from '../../src/ground/positions.js';
import { notify, publish, streamKey } from '../../src/ground/publish.js';

let t: TestServices;
let s: Services;

beforeAll(async () => {
  t = await testServices();
  s = t.services;
});
afterAll(() => t.close());

const metric = (step: number, attempt = 1): StreamMessage => ({
  event: 'metric',
  data: { step, attempt, at: 0, values: { train_loss: step / 2 } },
});

/** Follows in the background until `count` entries came or nothing more is to come. */
function follow(
  runId: string,
  from: string | null,
): { entries: RunEntry[]; upTo(count: number): Promise<RunEntry[]>; stop(): Promise<void> } {
  const abort = new AbortController();
  const entries: RunEntry[] = [];
  const done = (async () => {
    for await (const entry of followRuns(s, new Map([[runId, from]]), abort.signal)) entries.push(entry);
  })();
  return {
    entries,
    async upTo(count) {
      for (let waits = 0; entries.length < count && waits < 500; waits++) await sleep(10);
      return entries;
    },
    async stop() {
      abort.abort();
      await done;
    },
  };
}

const steps = (entries: readonly RunEntry[]): number[] =>
  entries.flatMap(({ message }) => (message.event === 'metric' ? [message.data.step] : []));

test('a follower that comes back with the last id it saw gets exactly the rest, past and live', async () => {
  const runId = newId('run');
  for (let step = 1; step <= 5; step++) await publish(s, runId, [{ message: metric(step), seq: step }], 1);
  const all = follow(runId, null);
  await all.upTo(6);
  expect(all.entries[0]?.message.event).toBe('reset');
  expect(steps(all.entries)).toEqual([1, 2, 3, 4, 5]);
  const resumed = follow(runId, all.entries[3]?.id ?? '');
  await resumed.upTo(2);
  for (let step = 6; step <= 9; step++) await publish(s, runId, [{ message: metric(step), seq: step }], 1);
  expect(steps(await resumed.upTo(6))).toEqual([4, 5, 6, 7, 8, 9]);
  await all.upTo(10);
  expect(resumed.entries.slice(-4)).toEqual(all.entries.slice(-4));
  await Promise.all([all.stop(), resumed.stop()]);
});

test('metrics that are read and followed from their last_event_id miss nothing while a writer writes', async () => {
  const runId = newId('run');
  let step = 0;
  let writing = true;
  const writer = (async () => {
    while (writing) await publish(s, runId, [{ message: metric(++step), seq: step }], 1);
  })();
  await sleep(50);
  const followers = [];
  for (let i = 0; i < 5; i++) {
    followers.push(follow(runId, await lastEventId(s, runId)));
    await sleep(20);
  }
  const enough = step + 20;
  while (step < enough) await sleep(10);
  writing = false;
  await writer;
  for (const follower of followers) {
    for (let waits = 0; steps(follower.entries).at(-1) !== step && waits < 300; waits++) await sleep(10);
    const seen = steps(follower.entries);
    expect(seen).toEqual(Array.from({ length: seen.length }, (_, i) => step - seen.length + 1 + i));
    expect(seen.length).toBeGreaterThanOrEqual(20);
    await follower.stop();
  }
});

test('a position that the buffer no longer reaches, or that never was, gives one reset and then what is new', async () => {
  const runId = newId('run');
  await publish(s, runId, [{ message: metric(1), seq: 1 }], 1);
  const old = await lastEventId(s, runId);
  await s.redis.del(streamKey(s, runId), `${streamKey(s, runId)}:fence`);
  await sleep(5);
  await publish(s, runId, [{ message: metric(2), seq: 2 }], 1);
  for (const id of [old, '1-1', 'nonsense', '999999999999999-0', '0-0']) {
    const follower = follow(runId, id);
    await follower.upTo(1);
    expect(
      follower.entries.map(({ message }) => message.event),
      String(id),
    ).toEqual(['reset']);
    expect(follower.entries[0]?.id).toBe(await lastEventId(s, runId));
    await follower.stop();
  }
  const follower = follow(runId, old);
  await follower.upTo(1);
  await publish(s, runId, [{ message: metric(3), seq: 3 }], 1);
  expect(steps(await follower.upTo(2))).toEqual([3]);
  await follower.stop();
});

test('a follower is sent to read again when Redis is wiped', async () => {
  const runId = newId('run');
  await publish(s, runId, [{ message: metric(1), seq: 1 }], 1);
  const follower = follow(runId, await lastEventId(s, runId));
  await sleep(300);
  await s.redis.flushdb();
  await publish(s, runId, [{ message: metric(9), seq: 9 }], 1);
  await follower.upTo(2);
  expect(follower.entries.map(({ message }) => message.event)).toEqual(['reset', 'metric']);
  await follower.stop();
});

test('numbered messages are published once however often they are sent, and not by an overtaken attempt', async () => {
  const runId = newId('run');
  const three = [1, 2, 3].map((step) => ({ message: metric(step), seq: step }));
  for (let i = 0; i < 3; i++) expect(await publish(s, runId, three, 1)).toBe(true);
  await notify(s, runId, [{ event: 'reset', data: { step: 1, attempt: 2 } }], 2);
  expect(await publish(s, runId, [{ message: metric(4), seq: 4 }], 1)).toBe(false);
  await publish(s, runId, [{ message: metric(2, 2), seq: 1 }], 2);
  const follower = follow(runId, null);
  await follower.upTo(6);
  expect(
    follower.entries.slice(1).map(({ message: { event, data } }) => [event, 'step' in data ? data.step : null]),
  ).toEqual([
    ['metric', 1],
    ['metric', 2],
    ['metric', 3],
    ['reset', 1],
    ['metric', 2],
  ]);
  await follower.stop();
});

test('a hundred followers of twenty runs share one connection, which closes after the last', async () => {
  const runs = Array.from({ length: 20 }, () => newId('run'));
  // Test files share one server, each in a database of its own; readers of the others are not ours to count.
  const ours = ` db=${s.redis.options.db ?? 0} `;
  const readers = async (): Promise<number> =>
    String(await s.redis.client('LIST'))
      .split('\n')
      .filter((line) => line.includes('name=moraine-streams ') && line.includes(ours)).length;
  const before = await readers();
  const followers = Array.from({ length: 100 }, (_, i) => follow(runs[i % runs.length] ?? '', null));
  await sleep(300);
  await Promise.all(runs.map((runId) => publish(s, runId, [{ message: metric(1), seq: 1 }], 1)));
  for (const follower of followers) expect(steps(await follower.upTo(2))).toEqual([1]);
  expect((await readers()) - before).toBeLessThanOrEqual(1);
  await Promise.all(followers.map((follower) => follower.stop()));
  for (let waits = 0; (await readers()) > 0 && waits < 200; waits++) await sleep(20);
  expect(await readers()).toBe(0);
});

test('one follower of several runs gets each from its own place, and a reset where it was too slow', async () => {
  const [first, second, unknown] = [newId('run'), newId('run'), newId('run')];
  await publish(
    s,
    first,
    [1, 2].map((step) => ({ message: metric(step), seq: step })),
    1,
  );
  await publish(s, second, [{ message: metric(1), seq: 1 }], 1);
  const abort = new AbortController();
  const places = new Map([
    [first, await lastEventId(s, first)],
    [second, null],
    [unknown, null],
  ]);
  const entries = followRuns(s, places, abort.signal);
  const stepsOf = async (count: number): Promise<Record<string, number[]>> => {
    const seen: Record<string, number[]> = { [first]: [], [second]: [], [unknown]: [] };
    for (let at = 0; at < count; at++) {
      const { value } = await entries.next();
      if (value?.message.event === 'metric') seen[value.runId]?.push(value.message.data.step);
    }
    return seen;
  };
  expect(await stepsOf(2)).toEqual({ [first]: [], [second]: [1], [unknown]: [] });
  for (let step = 3; step <= 6; step++) {
    await publish(s, first, [{ message: metric(step), seq: step }], 1);
    await publish(s, unknown, [{ message: metric(step), seq: step }], 1);
  }
  // The last run began with a reset of its own.
  expect(await stepsOf(9)).toEqual({ [first]: [3, 4, 5, 6], [second]: [], [unknown]: [3, 4, 5, 6] });
  // More than waits for a follower that does not read, and than the buffer keeps: it is told to read that run again, and goes on.
  const many = Array.from({ length: 20_500 }, (_, at) => ({ message: metric(at + 2), seq: at + 2 }));
  for (let at = 0; at < many.length; at += 500) await publish(s, second, many.slice(at, at + 500), 1);
  await sleep(500);
  const next = await entries.next();
  expect(next.value).toMatchObject({ runId: second, message: { event: 'reset' } });
  await publish(s, second, [{ message: metric(20_502), seq: 20_502 }], 1);
  await publish(s, first, [{ message: metric(7), seq: 7 }], 1);
  expect(await stepsOf(2)).toEqual({ [first]: [7], [second]: [20_502], [unknown]: [] });
  abort.abort();
  await entries.return();
});
