import { newId, type RunMetrics } from '@moraine/contract';
import { type TestServices, testServices } from '@moraine/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Actor, AttemptToken, Services } from '../src/ground/context.js';
import { claimRun } from '../src/kinds/claim-run.js';
import { failAttempt } from '../src/kinds/end-attempt.js';
import { ingestMetrics, type StepMetrics } from '../src/training/ingest-metrics.js';
import { readMetrics } from '../src/training/read-metrics.js';
import { recordEvaluation } from '../src/training/record-evaluation.js';
import { startAttempt } from '../src/training/start-attempt.js';
import { listLogs } from '../src/work/list-logs.js';
import { recordLogs } from '../src/work/record-logs.js';
import { type Seeded, seedProject, seedRun, seedWorker } from './seed-run.js';

let t: TestServices;
let s: Services;
let project: Seeded;
let actor: Actor;

beforeAll(async () => {
  t = await testServices();
  s = t.services;
  project = await seedProject(s);
  actor = { projectId: project.projectId, keyId: null };
});
afterAll(() => t.close());

const NAMES = ['train_loss', 'grad_norm'];
/** Values whose order in a sum matters little: multiples of 1/64. */
const valueAt = (name: string, step: number): number => ((step * (name === 'train_loss' ? 7919 : 104729)) % 997) / 64;
const batch = (from: number, to: number): StepMetrics[] =>
  Array.from({ length: to - from + 1 }, (_, i) => ({
    step: from + i,
    values: Object.fromEntries(NAMES.map((name) => [name, valueAt(name, from + i)])),
  }));

async function claimed(pool = `m-${newId('run').slice(-6)}`): Promise<{ token: AttemptToken; pool: string }> {
  await seedRun(s, project, { pool });
  return { token: await claimOf(pool), pool };
}

async function claimOf(pool: string): Promise<AttemptToken> {
  const claim = await claimRun(s, { workerId: await seedWorker(s, pool), pool });
  if (!claim) throw new Error('nothing to claim');
  return claim.token;
}

function groupBy<T, K>(items: readonly T[], keyOf: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item]);
  return groups;
}

const rollupsOf = async (runId: string) => {
  const { rows } = await s.pg.query(
    `SELECT m.name, r.bucket, r.n, r.sum, r.min, r.max, r.first_step, r.first, r.last_step, r.last
     FROM metric_rollups r JOIN metric_series m ON m.id = r.series_id WHERE m.run_id = $1 ORDER BY 1, 2`,
    [runId],
  );
  return rows;
};

const recomputed = async (runId: string) => {
  const { rows } = await s.pg.query<{ name: string; step: number; value: number }>(
    `SELECT m.name, p.step, p.value FROM metric_points p JOIN metric_series m ON m.id = p.series_id WHERE m.run_id = $1 ORDER BY 1, 2`,
    [runId],
  );
  const groups = groupBy(rows, ({ name, step }) => `${name} ${Math.floor(step / 256)}`);
  return [...groups.values()].map((points) => {
    const values = points.map(({ value }) => value);
    const [first, last] = [points[0], points.at(-1)];
    return {
      name: first?.name,
      bucket: Math.floor((first?.step ?? 0) / 256),
      n: values.length,
      sum: values.reduce((sum, value) => sum + value, 0),
      min: Math.min(...values),
      max: Math.max(...values),
      first_step: first?.step,
      first: first?.value,
      last_step: last?.step,
      last: last?.value,
    };
  });
};

test('the same batch three times gives each point once and roll-ups that equal a recomputation', async () => {
  const { token } = await claimed();
  await startAttempt(s, token, { startStep: 0 });
  for (const part of [batch(1, 700), batch(1, 700), batch(500, 900), batch(1, 700)])
    await ingestMetrics(s, token, part);
  expect(await s.db.metricPoint.count({ where: { series: { runId: token.taskId } } })).toBe(900 * NAMES.length);
  const rollups = await rollupsOf(token.taskId);
  expect(rollups).toHaveLength(4 * NAMES.length);
  expect(rollups).toEqual(await recomputed(token.taskId));
});

test('two ingests of one batch at the same time count each point once', async () => {
  const { token } = await claimed();
  await startAttempt(s, token, { startStep: 0 });
  const answers = await Promise.all(Array.from({ length: 4 }, () => ingestMetrics(s, token, batch(1, 300))));
  expect(answers.map(({ added }) => added).toSorted()).toEqual([0, 0, 0, 300 * NAMES.length]);
  expect(await rollupsOf(token.taskId)).toEqual(await recomputed(token.taskId));
});

test('values that are no numbers are marks beside the points, and the run shows its progress', async () => {
  const { token } = await claimed();
  await startAttempt(s, token, { startStep: 0 });
  const values = { train_loss: 2.5, grad_norm: Number.NaN, trained_tokens: 640, tokens_per_second: 100 };
  await ingestMetrics(s, token, [{ step: 3, values }]);
  const run = await s.db.run.findUniqueOrThrow({ where: { id: token.taskId } });
  expect(run).toMatchObject({ step: 3, trainLoss: 2.5, trainedTokens: 640n, tokensPerSecond: 100 });
  const { series } = await readMetrics(s, actor, token.taskId, { buckets: 10 });
  expect(series.map(({ name }) => name)).toEqual(['grad_norm', 'tokens_per_second', 'train_loss', 'trained_tokens']);
  expect(series[0]).toEqual({ name: 'grad_norm', every: 1, points: [], not_finite: [{ step: 3, value: 'NaN' }] });
  expect(series[2]).not.toHaveProperty('not_finite');
});

test('marks are few however many values are no numbers, spoil no roll-up, and go with a rewind', async () => {
  const { token } = await claimed();
  await startAttempt(s, token, { startStep: 0 });
  const valueAt = (step: number): number =>
    step % 100 === 0
      ? Number.POSITIVE_INFINITY
      : step > 900
        ? Number.NaN
        : step === 5
          ? -Number.POSITIVE_INFINITY
          : step;
  const all = Array.from({ length: 1200 }, (_, at) => ({ step: at + 1, values: { grad_norm: valueAt(at + 1) } }));
  for (const _ of [1, 2]) await ingestMetrics(s, token, all);
  const read = async (buckets: number) => (await readMetrics(s, actor, token.taskId, { buckets })).series[0];
  const fine = await read(2000);
  expect(fine?.points).toHaveLength(900 - 9 - 1);
  expect(fine?.not_finite?.slice(0, 3)).toEqual([
    { step: 5, value: '-Infinity' },
    { step: 100, value: 'Infinity' },
    { step: 200, value: 'Infinity' },
  ]);
  const coarse = await read(4);
  expect(coarse?.every).toBe(512);
  expect(coarse?.points[0]).toMatchObject({ step: 0, n: 511 - 6, min: 1, max: 511 });
  expect(coarse?.not_finite).toHaveLength(3);
  await startAttempt(s, token, { startStep: 150 });
  expect((await read(2000))?.not_finite?.map(({ step }) => step)).toEqual([5, 100]);
  expect(await rollupsOf(token.taskId)).toMatchObject([{ n: 148, max: 150 }]);
});

test.each([0, 255, 256, 300, 511, 640])(
  'an attempt that goes on from step %i leaves each step once and exact roll-ups',
  async (cut) => {
    const { token, pool } = await claimed();
    await startAttempt(s, token, { startStep: 0 });
    await ingestMetrics(s, token, batch(0, 800));
    const result = {
      fileId: 'f',
      name: 'f',
      rows: 1,
      supervisedTokens: 1,
      loss: 1,
      bitsPerByte: null,
      tokenAccuracy: 1,
      exactMatch: 1,
      samples: [],
    };
    for (const step of [0, 400, 800]) await recordEvaluation(s, token, { ...result, step });
    await failAttempt(s, token, { cause: 'hardware', code: 'killed', message: 'Killed.' });

    const second = await claimOf(pool);
    await startAttempt(s, second, { startStep: cut });
    const { rows } = await s.pg.query<{ last: number; n: string }>(
      'SELECT max(step) AS last, count(*) AS n FROM metric_points p JOIN metric_series m ON m.id = p.series_id WHERE m.run_id = $1',
      [token.taskId],
    );
    expect(rows[0]).toEqual({ last: cut, n: String((cut + 1) * NAMES.length) });
    expect(await rollupsOf(token.taskId)).toEqual(await recomputed(token.taskId));
    const evaluations = await s.db.evaluation.findMany({ where: { runId: token.taskId } });
    expect(evaluations.every(({ step }) => step <= cut)).toBe(true);
    expect((await s.db.run.findUniqueOrThrow({ where: { id: token.taskId } })).step).toBe(cut);

    await ingestMetrics(s, second, batch(cut + 1, 800));
    expect(await s.db.metricPoint.count({ where: { series: { runId: token.taskId } } })).toBe(801 * NAMES.length);
    expect(await rollupsOf(token.taskId)).toEqual(await recomputed(token.taskId));
  },
);

test('buckets that are read equal min, max, mean, count and last of the raw points, at every zoom', async () => {
  const { token } = await claimed();
  await startAttempt(s, token, { startStep: 0 });
  const steps = 20_000;
  for (let from = 1; from <= steps; from += 4_000) await ingestMetrics(s, token, batch(from, from + 3_999));
  const queries = [
    { buckets: 1000 },
    { buckets: 20 },
    { buckets: 1 },
    { buckets: 20_000, from: 19_000 },
    { buckets: 50, from: 300, to: 19_777 },
    { buckets: 7, from: 255, to: 5_376 },
    { buckets: 10, from: 256, to: 511 },
    { buckets: 500, from: 1_000, to: 1_400 },
  ];
  for (const query of queries) {
    const { series } = await readMetrics(s, actor, token.taskId, { ...query, names: ['train_loss'] });
    const from = query.from ?? 0;
    const to = query.to ?? steps;
    const label = JSON.stringify(query);
    expect(series, label).toHaveLength(1);
    const [one] = series;
    if (!one) continue;
    expect(one.points.length, label).toBeLessThanOrEqual(query.buckets);
    const raw = batch(Math.max(1, from), to).map(({ step, values }) => ({ step, value: values.train_loss ?? 0 }));
    const groups = [...groupBy(raw, ({ step }) => Math.floor(step / one.every)).entries()];
    const expected = groups.map(([bucket, points]) => {
      const values = points.map(({ value }) => value);
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
      return {
        step: bucket * one.every,
        n: values.length,
        mean,
        min: Math.min(...values),
        max: Math.max(...values),
        last: values.at(-1),
      };
    });
    expect(one.points, label).toEqual(expected);
  }
});

test('metrics of a run without any, and of a run of somebody else', async () => {
  const { token } = await claimed();
  const empty: RunMetrics = await readMetrics(s, actor, token.taskId, { buckets: 10 });
  expect(empty.series).toEqual([]);
  const stranger = { projectId: (await seedProject(s)).projectId, keyId: null };
  await expect(readMetrics(s, stranger, token.taskId, { buckets: 10 })).rejects.toMatchObject({ code: 'not_found' });
});

test('log lines come in order, by page and by attempt', async () => {
  const { token, pool } = await claimed();
  const lines = (from: number, count: number) =>
    Array.from({ length: count }, (_, i) => ({
      line: from + i,
      at: 1_000 * (from + i),
      level: 'info',
      message: `line ${from + i}`,
    }));
  const sent = await recordLogs(s, token, lines(1, 3));
  expect(sent.map(({ message, at }) => [message, at])).toEqual([
    ['line 1', 1],
    ['line 2', 2],
    ['line 3', 3],
  ]);
  expect(await recordLogs(s, token, lines(2, 3))).toMatchObject([{ message: 'line 4' }]);
  await failAttempt(s, token, { cause: 'hardware', code: 'killed', message: 'Killed.' });
  await recordLogs(s, await claimOf(pool), lines(1, 1));
  const first = await listLogs(s, actor, token.taskId, { after: 0, limit: 3 });
  expect(first.data.map(({ message }) => message)).toEqual(['line 1', 'line 2', 'line 3']);
  expect(first.has_more).toBe(true);
  const rest = await listLogs(s, actor, token.taskId, { after: first.data.at(-1)?.seq ?? 0, limit: 3 });
  expect(rest.data.map(({ message, attempt }) => [message, attempt])).toEqual([
    ['line 4', 1],
    ['line 1', 2],
  ]);
  expect((await listLogs(s, actor, token.taskId, { after: 0, limit: 9, attempt: 2 })).data).toHaveLength(1);
});
