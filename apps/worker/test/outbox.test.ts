import { setTimeout as sleep } from 'node:timers/promises';
import { AppError, type AttemptEvent } from '@moraine/contract';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { type OutboxSink, openOutbox } from '../src/outbox.js';
import { isStale, isTransient, untilDone } from '../src/retry.js';

const away = (): Error => Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:5432'), { code: 'ECONNREFUSED' });
const stale = (): AppError => new AppError('stale_attempt', 'Another attempt has the run.');
const metricsAt = (step: number): AttemptEvent => ({ type: 'metrics', step, at: step, values: { train_loss: step } });
const messageOf = (message: string): AttemptEvent => ({ type: 'message', level: 'info', at: 0, message });
const lineOf = (line: number) => ({ line, at: line, level: 'info', message: `line ${line}` });

/** A store that keeps what it is given, in order; `fails` throws before a call of the number is kept. */
function openStore(fails: (call: number) => Error | null = () => null) {
  const kept: string[] = [];
  const orders: number[] = [];
  let calls = 0;
  const store = async (items: readonly string[]): Promise<void> => {
    await sleep(1);
    const error = fails(++calls);
    if (error) throw error;
    kept.push(...items);
  };
  const sink: OutboxSink = {
    metrics: (batch) => store(batch.map(({ step }) => `step ${step}`)),
    logs: (batch) => store(batch.map(({ message }) => message)),
    event: async (event, order) => {
      await store([event.type === 'message' ? event.message : event.type]);
      orders.push(order);
    },
  };
  return { sink, kept, orders, calls: () => calls };
}

function open(sink: OutboxSink) {
  const errors: unknown[] = [];
  let waits = 0;
  const outbox = openOutbox(sink, { onError: (error) => errors.push(error), onWait: () => waits++ });
  return { outbox, errors, waits: () => waits };
}

describe('what a training process says', () => {
  it('is stored in the order it was said, an event only after all before it', async () => {
    const { sink, kept, orders } = openStore();
    const { outbox } = open(sink);
    outbox.push(messageOf('ready'));
    for (const step of [1, 2, 3]) outbox.push(metricsAt(step));
    outbox.push(messageOf('checkpoint at 3'));
    for (const step of [4, 5]) outbox.push(metricsAt(step));
    outbox.push(messageOf('finished'));
    await outbox.drained();
    expect(kept).toEqual(['ready', 'step 1', 'step 2', 'step 3', 'checkpoint at 3', 'step 4', 'step 5', 'finished']);
    expect(orders).toEqual([1, 2, 3]);
    expect(outbox.size()).toBe(0);
  });

  it('is stored soon, also where somebody puts the clock of the machine back', async () => {
    const { sink, kept } = openStore();
    const { outbox } = open(sink);
    outbox.push(metricsAt(1));
    await outbox.drained();
    const now = vi.spyOn(Date, 'now').mockImplementation(() => performance.timeOrigin + performance.now() - 300_000);
    onTestFinished(() => now.mockRestore());
    outbox.push(metricsAt(2));
    await outbox.drained();
    expect(kept).toEqual(['step 1', 'step 2']);
  });

  it('shares a statement where it came together', async () => {
    const { sink, kept, calls } = openStore();
    const { outbox } = open(sink);
    for (let step = 1; step <= 500; step++) outbox.push(metricsAt(step));
    outbox.log(lineOf(1));
    outbox.log(lineOf(2));
    outbox.push(messageOf('finished'));
    await outbox.drained();
    expect(kept).toHaveLength(503);
    expect(calls()).toBeLessThan(6);
  });

  it('waits while the server is away, loses nothing and stays in order', async () => {
    const { sink, kept, orders } = openStore((call) => (call <= 4 || (call > 6 && call < 9) ? away() : null));
    const { outbox, errors, waits } = open(sink);
    outbox.push(messageOf('ready'));
    outbox.push(metricsAt(1));
    outbox.push(messageOf('checkpoint at 1'));
    outbox.push(metricsAt(2));
    outbox.push(messageOf('finished'));
    await outbox.drained();
    expect(kept).toEqual(['ready', 'step 1', 'checkpoint at 1', 'step 2', 'finished']);
    expect(orders).toEqual([1, 2, 3]);
    expect(waits()).toBe(6);
    expect(errors).toEqual([]);
  });

  it('is given up, and reported once, when the attempt is not ours any more', async () => {
    const { sink, kept } = openStore((call) => (call >= 2 ? stale() : null));
    const { outbox, errors } = open(sink);
    outbox.push(messageOf('ready'));
    outbox.push(messageOf('checkpoint'));
    outbox.push(messageOf('finished'));
    await expect(outbox.drained()).rejects.toMatchObject({ code: 'stale_attempt' });
    expect(kept).toEqual(['ready']);
    outbox.push(messageOf('more'));
    await sleep(20);
    expect(kept).toEqual(['ready']);
    expect(errors).toHaveLength(1);
  });

  it('is dropped when it is closed, also while a server is away', async () => {
    const { sink, kept } = openStore(() => away());
    const { outbox, errors } = open(sink);
    outbox.push(messageOf('ready'));
    await sleep(30);
    outbox.close();
    await outbox.drained();
    expect(outbox.size()).toBe(0);
    expect(kept).toEqual([]);
    expect(errors).toEqual([]);
  });
});

describe('an error', () => {
  it.each<[string, unknown, boolean]>([
    ['a refused connection', away(), true],
    ['a server that starts up', Object.assign(new Error('starting'), { code: '57P03' }), true],
    ['a deadlock', Object.assign(new Error('deadlock'), { code: '40P01' }), true],
    ['too many connections', Object.assign(new Error('too many'), { code: '53300' }), true],
    ['a connection that ended', new Error('Connection terminated unexpectedly'), true],
    ['a service that says it is away', new AppError('unavailable', 'Redis is away.'), true],
    ['a violated constraint', Object.assign(new Error('duplicate'), { code: '23505' }), false],
    ['an attempt of another', stale(), false],
    ['a fault of ours', new TypeError('x is not a function'), false],
    ['a thrown text', 'ECONNREFUSED', false],
  ])('that is %s passes by itself: %s', (_what, error, passes) => {
    expect(isTransient(error)).toBe(passes);
  });

  it('is stale when its code says so only', () => {
    expect(isStale(stale())).toBe(true);
    expect(isStale(new Error('stale_attempt'))).toBe(false);
  });
});

describe('work that is done until it is done', () => {
  const failing = (errors: readonly unknown[]) => {
    let calls = 0;
    const work = async (): Promise<number> => {
      const error = errors[calls++];
      if (error !== undefined) throw error;
      return calls;
    };
    return { work, calls: () => calls };
  };

  it('is tried three times when the reason will not pass by itself', async () => {
    const fault = new Error('constraint');
    const thrice = failing([fault, fault, fault, fault]);
    await expect(untilDone(thrice.work, {})).rejects.toBe(fault);
    expect(thrice.calls()).toBe(3);
    expect(await untilDone(failing([fault, fault]).work, {})).toBe(3);
  });

  it('is not tried again once it is stale', async () => {
    const once = failing([stale(), undefined]);
    await expect(untilDone(once.work, {})).rejects.toMatchObject({ code: 'stale_attempt' });
    expect(once.calls()).toBe(1);
  });

  it('ends at once when it is aborted while it waits', async () => {
    const stop = new AbortController();
    const endless = failing(Array.from({ length: 50 }, away));
    const begun = Date.now();
    const end = untilDone(endless.work, { signal: stop.signal, onWait: () => stop.abort() });
    await expect(end).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    expect(endless.calls()).toBe(1);
    expect(Date.now() - begun).toBeLessThan(1_000);
  });
});
