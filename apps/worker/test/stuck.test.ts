import { expect, it } from 'vitest';
import { openOutbox } from '../src/outbox.js';
import { watchProgress } from '../src/stuck.js';
import { storingMs, within } from '../src/within.js';

const MINUTE = 60_000;
/** A watch over a clock that the test turns. */
function watch(afterMs: number | null = null) {
  let now = 1_000;
  const progress = watchProgress(afterMs, () => now);
  return { progress, pass: (ms: number) => (now += ms) };
}

it.each([
  ['encoding', 10, 'user_data'],
  ['step', 15, 'internal'],
  ['checkpoint', 15, 'internal'],
  ['evaluation', 30, 'internal'],
  ['tracing', 30, 'internal'],
  ['loading', 60, 'internal'],
  ['export', 60, 'internal'],
] as const)('%s without progress for %i minutes is stuck, of cause %s', (phase, minutes, cause) => {
  const { progress, pass } = watch();
  progress.saw(phase);
  pass(minutes * MINUTE);
  expect(progress.stuck()).toBeNull();
  pass(1);
  expect(progress.stuck()).toMatchObject({ cause, message: expect.stringContaining(`for ${minutes * 60} seconds`) });
  progress.saw(phase);
  expect(progress.stuck()).toBeNull();
});

it('a process that says nothing at all is stuck after five minutes', () => {
  const { progress, pass } = watch();
  pass(5 * MINUTE + 1);
  expect(progress.stuck()).toMatchObject({ code: 'stuck', message: expect.stringContaining('while it started') });
});

it('steps that always take long may take longer, those of another phase may not', () => {
  const { progress, pass } = watch();
  progress.saw('step');
  pass(4 * MINUTE);
  progress.saw('step');
  pass(60 * MINUTE);
  expect(progress.stuck()).toBeNull();
  pass(21 * MINUTE);
  expect(progress.stuck()).not.toBeNull();
  progress.saw('checkpoint');
  pass(16 * MINUTE);
  expect(progress.stuck()).not.toBeNull();
});

it('what a storage that hangs is asked for is given up, with what it was and how long it took', async () => {
  const never = new Promise<never>(() => undefined);
  await expect(within(20, 'Fetching the inputs', never)).rejects.toMatchObject({
    code: 'storage',
    message: 'Fetching the inputs got no answer for 0 s.',
  });
  expect(await within(10_000, 'Reading', Promise.resolve(5))).toBe(5);
  expect(storingMs({ type: 'checkpoint', sizeBytes: 12_000_000_000 })).toBe(15 * MINUTE + 6_000_000);
});

it('a checkpoint whose storing hangs ends the attempt', async () => {
  const errors: unknown[] = [];
  const sink = {
    metrics: async () => undefined,
    logs: async () => undefined,
    event: () => new Promise<void>(() => undefined),
  };
  const outbox = openOutbox(sink, {
    onError: (error) => errors.push(error),
    onWait: () => undefined,
    storingMs: () => 20,
  });
  outbox.push({ type: 'checkpoint', step: 1, at: 1, dir: '/nowhere', sizeBytes: 1, metrics: {}, bestStep: null });
  await expect(outbox.drained()).rejects.toMatchObject({ code: 'storage' });
  expect(errors).toHaveLength(1);
});
