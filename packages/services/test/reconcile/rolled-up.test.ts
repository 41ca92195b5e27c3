import { testServices } from '@moraine/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { claimRun, getRun } from '../../src/index.js';
import { applyRetention, KEEP_ALL } from '../../src/reconcile/retention.js';
import { ingestMetrics, type StepMetrics } from '../../src/training/ingest-metrics.js';
import { readMetrics } from '../../src/training/read-metrics.js';
import { startAttempt } from '../../src/training/start-attempt.js';
import { requireSpan } from '../../src/training/verify-span.js';
import { seedProject, seedRun, seedWorker } from '../seed-run.js';

const t = await testServices();
afterAll(() => t.close());
const s = t.services;
const project = await seedProject(s);
const actor = { projectId: project.projectId, keyId: null };

const lossAt = (step: number): number => (step * 7919) % 997;
/** Steps whose loss is no number: alone in a roll-up, and many in another. */
const isBroken = (step: number): boolean => step === 700 || (step >= 1_030 && step < 1_060);

/** A run of so many steps that ended so long ago, or has not; validated every 10 steps. */
async function runOf(steps: number, endedDaysAgo: number | null): Promise<string> {
  const id = await seedRun(s, project);
  const claim = await claimRun(s, { workerId: await seedWorker(s), pool: 'default' });
  if (!claim || claim.token.taskId !== id) throw new Error('nothing to claim');
  await startAttempt(s, claim.token, { startStep: 0 });
  const batch = Array.from({ length: steps }, (_, i): StepMetrics => {
    const step = i + 1;
    const loss = isBroken(step) ? Number.NaN : lossAt(step);
    return {
      step,
      values: { train_loss: loss, grad_norm: 1, valid_loss: step + 1, ...(step % 10 === 0 ? { rare: step } : {}) },
    };
  });
  await ingestMetrics(s, claim.token, batch);
  await s.pg.query(`UPDATE attempts SET status = 'finished' WHERE task_id = $1`, [id]);
  await s.pg.query(
    `UPDATE tasks SET status = $2, finished_at = now() - $3 * interval '1 day' WHERE id = $1`,
    endedDaysAgo === null ? [id, 'paused', null] : [id, 'succeeded', endedDaysAgo],
  );
  return id;
}

const pointsOf = (runId: string, name = 'train_loss') => s.db.metricPoint.count({ where: { series: { runId, name } } });
const seriesOf = async (runId: string, name: string, query: { buckets?: number; from?: number; to?: number } = {}) => {
  const { series } = await readMetrics(s, actor, runId, { buckets: 5_000, names: [name], ...query });
  return series[0];
};
const retain = () => applyRetention(s, { ...KEEP_ALL, pointsDays: 30 });

describe('a long curve of a run that ended long ago', () => {
  const STEPS = 2_047;
  let old: string;
  let coarse: Awaited<ReturnType<typeof seriesOf>>;
  beforeAll(async () => {
    old = await runOf(STEPS, 40);
    // Before: the same steps in buckets of a roll-up.
    coarse = await seriesOf(old, 'train_loss', { buckets: 8 });
    expect(coarse?.every).toBe(256);
    expect(await applyRetention(s, KEEP_ALL)).toEqual({ logs: 0, events: 0, points: 0 });
    expect(await pointsOf(old)).toBe(STEPS);
    expect((await retain()).points).toBeGreaterThan(2_000);
  });

  test('is shown whole from its roll-ups, with the values that it had', async () => {
    expect(await seriesOf(old, 'train_loss')).toEqual(coarse);
    expect(await seriesOf(old, 'train_loss', { buckets: 8 })).toEqual(coarse);
    const four = await seriesOf(old, 'train_loss', { buckets: 4 });
    expect([four?.every, four?.points.length]).toEqual([512, 4]);
    expect(four?.points.reduce((sum, { n }) => sum + n, 0)).toBe(STEPS - 31);
  });

  test('has the roll-ups that a range touches, whole', async () => {
    const cut = await seriesOf(old, 'train_loss', { from: 600, to: 1_100 });
    expect(cut?.points).toEqual(coarse?.points.slice(2, 5));
    expect(cut?.not_finite).toEqual([
      { step: 512, value: 'NaN' },
      { step: 1_024, value: 'NaN' },
    ]);
  });

  test('keeps the points that verdicts read and the first of a roll-up that was no number, and no other', async () => {
    const { rows } = await s.pg.query<{ step: number }>(
      `SELECT p.step FROM metric_points p JOIN metric_series m ON m.id = p.series_id WHERE m.run_id = $1 AND m.name = 'train_loss' ORDER BY 1`,
      [old],
    );
    const steps = rows.map(({ step }) => step);
    const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);
    expect(steps).toEqual([...range(1, 255), 700, 1_030, ...range(1_792, STEPS)]);
    expect(await getRun(s, actor, old)).toMatchObject({ status: 'succeeded' });
  });

  test('leaves curves of few points and the validation loss point by point beside it', async () => {
    expect(await seriesOf(old, 'rare')).toMatchObject({ every: 1, points: { length: 204 } });
    expect(await pointsOf(old, 'valid_loss')).toBe(STEPS);
    const { series } = await readMetrics(s, actor, old, { buckets: 5_000 });
    expect(series.map(({ name, every }) => [name, every])).toEqual([
      ['grad_norm', 256],
      ['rare', 1],
      ['train_loss', 256],
      ['valid_loss', 1],
    ]);
  });

  test('cannot be verified any more, and its refusal says why', async () => {
    await expect(requireSpan(s, old)).rejects.toThrow(/single steps of .* are kept no more/);
  });

  test('is not looked at again', async () => {
    expect((await retain()).points).toBe(0);
    expect(await s.db.metricSeries.count({ where: { runId: old, rolledUp: null } })).toBe(0);
  });
});

test('a run that ended lately, one that has not and a short one keep every point', async () => {
  const runs = [await runOf(1_200, 20), await runOf(1_200, null), await runOf(1_000, 40)];
  expect((await retain()).points).toBe(0);
  for (const [i, run] of runs.entries()) expect(await pointsOf(run)).toBe([1_200, 1_200, 1_000][i]);
});

test('a run keeps its points while it is being verified', async () => {
  const run = await runOf(1_200, 40);
  const { projectId } = project;
  await s.db.task.create({
    data: {
      id: 'verify-1',
      kind: 'verify',
      projectId,
      status: 'queued',
      verification: { create: { runId: run, projectId } },
    },
  });
  expect((await retain()).points).toBe(0);
  await s.db.task.update({ where: { id: 'verify-1' }, data: { status: 'cancelled', finishedAt: new Date() } });
  expect((await retain()).points).toBeGreaterThan(0);
});
