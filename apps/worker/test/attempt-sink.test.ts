import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AttemptEvent, StreamMessage } from '@moraine/contract';
import {
  cancelRun,
  claimRun,
  followRuns,
  getRun,
  listCheckpoints,
  listEvaluations,
  listEvents,
  listLogs,
  registerWorker,
  type Services,
} from '@moraine/services';
import { type TestServices, testServices } from '@moraine/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { attemptSink } from '../src/attempt-sink.js';
import { workOf } from '../src/kinds.js';
import { type LivePublisher, openLivePublisher } from '../src/live-publisher.js';
import type { OutboxEvent, OutboxSink } from '../src/outbox.js';
import { lossAt, runOf, submitRun } from './helpers.js';

let t: TestServices;
let s: Services;
let count = 0;
beforeAll(async () => {
  t = await testServices();
  s = t.services;
});
afterAll(() => t.close());

interface Attempt {
  id: string;
  sink: OutboxSink;
  live: LivePublisher;
  cancels: number;
  actor: { projectId: string; keyId: null };
}

async function claimed(id: string, pool: string): Promise<Attempt> {
  const facts = { name: 'w', pool, version: '0', host: 'h', pid: 1, cores: 1, memoryBytes: 1 };
  const device = { kind: 'cpu', name: 'test', tensorflow: null, bfloat16: null } as const;
  const workerId = await registerWorker(s, { ...facts, device, status: 'ready' });
  const claim = await claimRun(s, { workerId, pool });
  if (!claim) throw new Error(`no run in ${pool}`);
  const { token } = claim;
  const live = openLivePublisher(s, id, token.attempt);
  const work = workOf(s, claim);
  const { projectId } = await runOf(s, id);
  const attempt: Attempt = { id, live, cancels: 0, actor: { projectId, keyId: null }, sink: {} as OutboxSink };
  const kindSink = work.sink(live, () => attempt.cancels++);
  return Object.assign(attempt, { sink: attemptSink({ s, token, live, work, kindSink }) });
}

/** A run of 100 steps that a worker has claimed, and the sink of that attempt. */
async function begin(): Promise<Attempt> {
  const pool = `sink-${++count}`;
  return claimed(await submitRun(s, { pool }), pool);
}

const eventsOf = async ({ actor, id }: Attempt): Promise<string[]> => {
  const { data } = await listEvents(s, actor, id, { limit: 100 });
  return data.map(({ message }) => message).reverse();
};

/** What followers see up to the message that is waited for. */
async function seenUntil(attempt: Attempt, isLast: (message: StreamMessage) => boolean): Promise<StreamMessage[]> {
  await attempt.live.flush(10_000);
  const seen: StreamMessage[] = [];
  for await (const { message } of followRuns(s, new Map([[attempt.id, null]]), AbortSignal.timeout(10_000))) {
    seen.push(message);
    if (isLast(message)) break;
  }
  return seen;
}

const at = Date.now();
const message: OutboxEvent = { type: 'message', level: 'warn', at, message: 'Two rows were cut', data: { rows: 2 } };
const metricOf = (step: number): Extract<AttemptEvent, { type: 'metrics' }> => ({
  type: 'metrics',
  step,
  at,
  values: { train_loss: lossAt(step), grad_norm: Number.NaN },
});
const report = { parity: null, rounding: null, notes: [], problem: null };
const finishedWith = (dir: string): OutboxEvent => ({
  type: 'finished',
  at,
  step: 100,
  resultStep: 80,
  stoppedEarly: 'Stopped early at step 100.',
  trainedTokens: 1_000,
  exports: [{ kind: 'adapter', dir, sizeBytes: 1, report }],
  resultFile: 'step,train_loss\n1,2\n',
});

describe('what every kind of attempt says', () => {
  it('is stored once, although it is sent again, and its followers see it', async () => {
    const attempt = await begin();
    const line = { line: 1, at, level: 'info', message: 'a line' };
    for (const _ of [1, 2]) {
      await attempt.sink.logs([line]);
      await attempt.sink.event(message, 1);
    }
    await attempt.sink.logs([line, { ...line, line: 2, message: 'the next' }]);
    const { data } = await listLogs(s, attempt.actor, attempt.id, { after: 0, limit: 10 });
    expect(data.map(({ message }) => message)).toEqual(['a line', 'the next']);
    expect((await eventsOf(attempt)).filter((text) => text === 'Two rows were cut')).toHaveLength(1);
    const seen = await seenUntil(attempt, (one) => one.event === 'log' && one.data.message === 'the next');
    expect(seen.filter(({ event }) => event === 'log')).toHaveLength(2);
    const warning = seen.find((one) => one.event === 'event' && one.data.message === 'Two rows were cut');
    expect(warning?.data).toMatchObject({ level: 'warn', type: 'message', data: { rows: 2 } });
  });

  it('is two events when the same words are said twice', async () => {
    const attempt = await begin();
    await attempt.sink.event(message, 1);
    await attempt.sink.event(message, 2);
    expect((await eventsOf(attempt)).filter((text) => text === 'Two rows were cut')).toHaveLength(2);
  });

  it('by a failure ends the run with its cause and code', async () => {
    const attempt = await begin();
    const failure = { cause: 'nan', code: 'nan_loss', message: 'The loss is NaN.', param: null } as const;
    for (const _ of [1, 2]) await attempt.sink.event({ type: 'failed', at, step: 3, ...failure }, 1);
    expect(await runOf(s, attempt.id)).toMatchObject({ status: 'failed', errorCode: 'nan_loss' });
  });

  it('by a drain gives the run back, and the older attempt can write nothing more', async () => {
    const attempt = await begin();
    for (const _ of [1, 2])
      await attempt.sink.event({ type: 'stopped', at, reason: 'drain', step: 7, trainedTokens: 70 }, 1);
    const run = await runOf(s, attempt.id);
    expect(run.status).toBe('queued');
    await claimed(attempt.id, run.pool);
    const late = { code: 'stale_attempt' };
    await expect(attempt.sink.event(message, 2)).rejects.toMatchObject(late);
    await expect(attempt.sink.logs([{ line: 1, at, level: 'info', message: 'late' }])).rejects.toMatchObject(late);
    await expect(attempt.sink.metrics([metricOf(8)])).rejects.toMatchObject(late);
  });

  it('by a hold leaves the run waiting at its step, for nobody to claim', async () => {
    const attempt = await begin();
    for (const _ of [1, 2])
      await attempt.sink.event({ type: 'stopped', at, reason: 'hold', step: 7, trainedTokens: 70 }, 1);
    const run = await runOf(s, attempt.id);
    expect(run).toMatchObject({
      status: 'paused',
      stateReason: { code: 'held', message: expect.stringContaining('step 7') },
    });
    await expect(claimed(attempt.id, run.pool)).rejects.toThrow(`no run in ${run.pool}`);
  });

  it('by a cancel ends the run as cancelled, with the step where it stopped', async () => {
    const attempt = await begin();
    for (const _ of [1, 2])
      await attempt.sink.event({ type: 'stopped', at, reason: 'cancel', step: 7, trainedTokens: 70 }, 1);
    expect(await runOf(s, attempt.id)).toMatchObject({ status: 'cancelled', step: 7 });
  });
});

describe('what an attempt that trains says', () => {
  it('of its steps is stored, with about fifty events a run, and values that are no numbers are seen as marks', async () => {
    const attempt = await begin();
    const batch = Array.from({ length: 100 }, (_, i) => metricOf(i + 1));
    for (const _ of [1, 2]) await attempt.sink.metrics(batch);
    expect((await runOf(s, attempt.id)).step).toBe(100);
    const steps = (await eventsOf(attempt)).filter((text) => text.startsWith('Step '));
    expect(steps).toHaveLength(50);
    expect(steps.at(-1)).toBe(`Step 100/100: training loss=${lossAt(100).toFixed(4)}`);
    const seen = await seenUntil(attempt, (one) => one.event === 'metric' && one.data.step === 100);
    expect(seen.at(-1)?.data).toMatchObject({ step: 100, attempt: 1, values: { train_loss: lossAt(100) } });
    expect(seen.at(-1)?.data).not.toHaveProperty('values.grad_norm');
    expect(seen.at(-1)?.data).toHaveProperty('not_finite', { grad_norm: 'NaN' });
  });

  it('of a file is stored with how far the model is from its base there, where that is measured', async () => {
    const attempt = await begin();
    const scores = {
      rows: 2,
      supervisedTokens: 9,
      loss: 1.5,
      bitsPerByte: 2,
      tokenAccuracy: 0.5,
      exactMatch: null,
      samples: [],
    };
    const results = [
      { ...scores, fileId: 'file-1', name: 'a', step: 4, klToBase: 0.25 },
      { ...scores, fileId: 'file-2', name: 'b', step: 4 },
    ];
    for (const result of results) await attempt.sink.event({ type: 'evaluation', at, result }, 1);
    const { data } = await listEvaluations(s, attempt.actor, attempt.id);
    expect(data.map(({ name, step, kl_to_base: kl }) => [name, step, kl])).toEqual([
      ['a', 4, 0.25],
      ['b', 4, null],
    ]);
  });

  it('is answered by a request to cancel, if there is one', async () => {
    const attempt = await begin();
    await attempt.sink.metrics([metricOf(1)]);
    expect(attempt.cancels).toBe(0);
    await cancelRun(s, attempt.actor, attempt.id);
    await attempt.sink.metrics([metricOf(2)]);
    expect(attempt.cancels).toBe(1);
  });

  it('at its end is in the store with the adapter, and its followers see the end', async () => {
    const attempt = await begin();
    const dir = mkdtempSync(join(tmpdir(), 'moraine-sink-'));
    const [checkpoint, adapter] = [join(dir, 'step-100'), join(dir, 'adapter')];
    for (const folder of [checkpoint, adapter]) {
      mkdirSync(folder);
      writeFileSync(join(folder, 'weights'), 'bytes');
    }
    const saved = {
      type: 'checkpoint',
      step: 100,
      at,
      dir: checkpoint,
      sizeBytes: 5,
      metrics: {},
      bestStep: 100,
    } as const;
    for (const _ of [1, 2]) await attempt.sink.event(saved, 1);
    await attempt.sink.event(finishedWith(adapter), 2);
    expect(await runOf(s, attempt.id)).toMatchObject({ status: 'succeeded', resultFileId: expect.any(String) });
    expect(await getRun(s, attempt.actor, attempt.id)).toMatchObject({
      result_step: 80,
      state_reason: { code: 'stopped_early', message: 'Stopped early at step 100.' },
    });
    const { data } = await listCheckpoints(s, attempt.actor, attempt.id, { limit: 10 });
    expect(data.map(({ step_number, is_best }) => [step_number, is_best])).toEqual([[100, true]]);
    const seen = await seenUntil(attempt, (one) => one.event === 'status' && one.data.status === 'succeeded');
    const ids = seen.flatMap((one) =>
      one.event === 'event' && one.data.message === 'Checkpoint saved at step 100' ? [one.data.id] : [],
    );
    expect(new Set(ids).size).toBe(1); // sent again it is the same event
  });
});
