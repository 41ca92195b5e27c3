import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExperimentObject } from '@moraine/contract';
import { experimentTable, tableMarkdown } from '@moraine/contract/experiments';
import { testServices } from '@moraine/testing';
import { Redis } from 'ioredis';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  type Actor,
  advanceExperiments,
  type Claim,
  cancelRun,
  claimRun,
  createBaseFromDir,
  createExperiment,
  failAttempt,
  finishAttempt,
  getExperiment,
  getExperimentReport,
  getRun,
  growExperiment,
  holdAttempt,
  ingestMetrics,
  listCheckpoints,
  loadOutcome,
  openServices,
  pauseExperiment,
  recordCheckpoint,
  resumeExperiment,
  resumeRun,
  type Services,
  startAttempt,
} from '../src/index.js';
import { seedWorker } from './seed-run.js';
import { defaultActor, experimentFiles, tinyFiles, writeFolder } from './tiny-base.js';

// Searches by rungs over real servers; a worker that says what one would that trains, from claim to end.
const t = await testServices();
let s: Services = t.services;
let actor: Actor;
let files: Awaited<ReturnType<typeof experimentFiles>>;
let checkpoint: string;
beforeAll(async () => {
  actor = await defaultActor(s);
  files = await experimentFiles(s, actor);
  checkpoint = await mkdtemp(join(tmpdir(), 'moraine-rung-'));
  await writeFile(join(checkpoint, 'state.json'), '{}');
});
afterAll(async () => {
  if (s !== t.services) await s.close();
  await t.close();
});

let names = 0;
const body = (changes: Record<string, unknown> = {}) => ({
  name: `rungs ${++names}`,
  model: 'tiny',
  training_file: files.train,
  evaluation: { validation: files.valid, every_steps: 8 },
  fixed: { max_steps: 8, batch_size: 4 },
  arms: [{ name: 'lora', adapter: { type: 'lora', rank: 2 } }],
  search: { type: 'asha', min: 1e-4, max: 1e-2, runs: 6, eta: 2 },
  seeds: { search: 1, final: [2] },
  pool: `rungs-${names}`,
  ...changes,
});
const lossAt = (rate: number, step: number): number => 2 + Math.abs(Math.log2(rate / 1e-3)) + 1 / step;

/** Everything ends and starts anew: connections, and all that Redis had. */
async function restart(): Promise<void> {
  if (s !== t.services) await s.close();
  const redis = new Redis(t.redisUrl);
  await redis.flushdb();
  redis.disconnect();
  s = await openServices({ ...t, log: pino({ level: 'silent' }) });
}

type TrainClaim = Extract<Claim, { kind: 'train' }>;
async function claim(pool: string): Promise<TrainClaim | null> {
  return (await claimRun(s, { workerId: await seedWorker(s, pool), pool })) as TrainClaim | null;
}

/** Trains as far as the run may: its last validation, its checkpoint, then the end or the hold. A loss that is null is no number. */
async function train({ token, job }: TrainClaim, loss: (rate: number, step: number) => number | null = lossAt) {
  const { config, holdStep, checkpoints } = job;
  const from = checkpoints[0]?.step ?? 0;
  const step = holdStep ?? config.steps;
  await startAttempt(s, token, { startStep: from });
  const valid = loss(config.optimizer.learning_rate, step);
  if (valid === null) await failAttempt(s, token, { cause: 'nan', code: 'nan_loss', message: `NaN at step ${step}.` });
  else {
    await ingestMetrics(s, token, [
      { step, values: { train_loss: valid, valid_loss: valid, trained_tokens: 10 * step } },
    ]);
    await recordCheckpoint(s, token, { step, dir: checkpoint, metrics: { valid_loss: valid } });
    if (holdStep !== null) await holdAttempt(s, token, step);
    else await finishAttempt(s, token, { step, trainedTokens: 10 * step });
  }
  return { id: token.taskId, rate: config.optimizer.learning_rate, from, to: step };
}

/** Takes what is due until nothing is. */
async function live(pool: string, each: (claimed: TrainClaim) => Promise<unknown> = train): Promise<void> {
  for (let claimed = await claim(pool); claimed !== null; claimed = await claim(pool)) {
    await each(claimed);
    await advanceExperiments(s);
  }
}
const look = (id: string): Promise<ExperimentObject> => getExperiment(s, actor, id);
const statusesOf = ({ cells }: ExperimentObject) =>
  cells.map(({ status, is_stopped, hold_step }) => `${status} ${is_stopped ? 'stopped' : ''} ${hold_step}`);

test('the worse are stopped at their rungs though everything is restarted between them, and nothing is done twice', async () => {
  const request = body();
  const { id } = await createExperiment(s, actor, request);
  const trained: Awaited<ReturnType<typeof train>>[] = [];
  await live(request.pool, async (claimed) => {
    const one = await train(claimed);
    if (trained.at(-1)?.to !== one.to) await restart();
    trained.push(one);
  });
  const done = await look(id);
  expect(done).toMatchObject({ status: 'succeeded', reason: null, arms: [{ phase: 'done' }] });

  // Each run trains each stretch of steps once, from where it was held; all six rates come to step 2.
  const search = trained.filter(({ id: run }) => done.cells.find(({ run_id }) => run_id === run)?.phase === 'search');
  const stretches = search.map(({ id: run, from, to }) => `${run} ${from}-${to}`);
  expect(new Set(stretches).size).toBe(stretches.length);
  expect(search.filter(({ to }) => to === 2)).toHaveLength(6);
  expect(search.every(({ from, to }) => [0, 2, 4][[2, 4, 8].indexOf(to)] === from)).toBe(true);
  // A promoted run goes before those that have not begun.
  expect(search.findIndex(({ to }) => to === 4)).toBeLessThan(search.findLastIndex(({ to }) => to === 2));

  const cells = done.cells.filter(({ phase }) => phase === 'search');
  const whole = cells.filter(({ status }) => status === 'succeeded');
  const stopped = cells.filter(({ is_stopped }) => is_stopped);
  expect(whole.length + stopped.length).toBe(6);
  expect(stopped.length).toBeGreaterThan(2);
  for (const { run_id, hold_step, rungs, learning_rate } of stopped) {
    const run = await getRun(s, actor, run_id ?? '');
    expect(run).toMatchObject({ status: 'cancelled', state_reason: { code: 'not_promoted' } });
    expect(run.state_reason?.message).toContain(`stopped at step ${hold_step}`);
    expect(rungs.at(-1)).toEqual({ step: hold_step, loss: lossAt(learning_rate, hold_step ?? 0) });
  }
  // The best rate of those that were drawn wins: its losses are the least at every rung.
  const best = cells.toSorted((a, b) => lossAt(a.learning_rate, 8) - lossAt(b.learning_rate, 8))[0];
  expect(done.arms[0]?.learning_rate).toBe(best?.learning_rate);

  const outcome = await loadOutcome(s, actor, id);
  const [row] = experimentTable(outcome).rows;
  expect(row?.rates).toHaveLength(6);
  const told = row?.rates.filter((one) => one.stopped !== null) ?? [];
  expect(told.map(({ learning_rate, loss, stopped: at }) => [learning_rate, loss, at])).toEqual(
    stopped
      .toSorted((a, b) => a.learning_rate - b.learning_rate)
      .map(({ learning_rate, hold_step: step }) => [
        learning_rate,
        null,
        { step, loss: lossAt(learning_rate, step ?? 0) },
      ]),
  );
  const { markdown } = await getExperimentReport(s, actor, id);
  const table = tableMarkdown(experimentTable(outcome));
  for (const { learning_rate, hold_step } of stopped)
    for (const text of [markdown, table]) expect(text).toContain(`${learning_rate}: stopped at step ${hold_step} (`);
  // A later round, and the request once more, change nothing.
  await advanceExperiments(s);
  await createExperiment(s, actor, request);
  expect(await look(id)).toEqual(done);
});

test('a held run keeps its checkpoint, is not resumed with its experiment, and only the search lets it go on', async () => {
  const request = body({ search: { type: 'asha', min: 1e-4, max: 1e-2, runs: 2, eta: 2 } });
  const { id } = await createExperiment(s, actor, request);
  const first = await claim(request.pool);
  if (!first) throw new Error('nothing to claim');
  // Its rungs, at which it is validated again where it comes to one once more.
  expect(first.job).toMatchObject({ holdStep: 2, rungs: [2, 4, 8] });
  const { id: run } = await train(first);
  await advanceExperiments(s);
  expect(statusesOf(await look(id)).sort()).toEqual(['paused  2', 'queued  2']);
  expect((await listCheckpoints(s, actor, run, { limit: 9 })).data.map(({ step_number }) => step_number)).toEqual([2]);
  await expect(resumeRun(s, actor, run)).rejects.toMatchObject({ code: 'conflict' });
  await pauseExperiment(s, actor, id);
  await resumeExperiment(s, actor, id);
  expect(statusesOf(await look(id)).sort()).toEqual(['paused  2', 'queued  2']);
  const rungs: number[] = [];
  await live(request.pool, async (claimed) => {
    rungs.push(claimed.job.rungs.length);
    await train(claimed);
  });
  expect(rungs.at(-1)).toBe(0);
  expect((await look(id)).status).toBe('succeeded');
});

test('an experiment that fails ends the runs that it holds, with the reason, and makes them again when it is resumed', async () => {
  const base = `gone${++names}`;
  await createBaseFromDir(s, actor, { name: base, dir: await writeFolder(tinyFiles()) });
  const arms = [
    { name: 'full', adapter: 'full', learning_rates: [1e-3, 2e-3] },
    { name: 'lora', adapter: { type: 'lora', rank: 2 } },
  ];
  const request = body({ model: base, arms });
  const { id } = await createExperiment(s, actor, request);
  const claims = [await claim(request.pool), await claim(request.pool), await claim(request.pool)];
  for (const claimed of claims) if (claimed) await train(claimed);
  const waiting = (await look(id)).cells.filter(({ status }) => status === 'paused');
  expect(waiting.map(({ arm }) => arm)).toEqual(['lora']);
  // The final run of the first arm is due, and cannot be queued.
  await s.db.base.updateMany({ where: { name: base }, data: { deletedAt: new Date() } });
  await createBaseFromDir(s, actor, { name: base, dir: await writeFolder(tinyFiles()) });
  await advanceExperiments(s);
  expect(await look(id)).toMatchObject({ status: 'failed', reason: expect.stringContaining('is another base now') });
  const run = waiting[0]?.run_id ?? '';
  expect(await getRun(s, actor, run)).toMatchObject({
    status: 'cancelled',
    state_reason: { code: 'experiment_failed', message: expect.stringContaining('is another base now') },
  });
  await s.db.base.deleteMany({ where: { name: base, deletedAt: null } });
  await s.db.base.updateMany({ where: { name: base }, data: { deletedAt: null } });
  const resumed = await resumeExperiment(s, actor, id);
  const again = resumed.cells.find((cell) => cell.learning_rate === waiting[0]?.learning_rate && cell.arm === 'lora');
  expect(again).toMatchObject({ status: 'queued', hold_step: 2 });
  expect(again?.run_id).not.toBe(run);
});

test('runs that diverge or fail are the worst of their rung; the search goes on without them', async () => {
  const request = body();
  const { id, cells } = await createExperiment(s, actor, request);
  await cancelRun(s, actor, cells[0]?.run_id ?? '');
  await live(request.pool, (claimed) => train(claimed, (rate, step) => (rate > 2e-3 ? null : lossAt(rate, step))));
  const done = await look(id);
  expect(done.status).toBe('succeeded');
  const dead = done.cells.filter(
    ({ status, is_stopped }) => status === 'failed' || (status === 'cancelled' && !is_stopped),
  );
  expect(dead.length).toBeGreaterThan(1);
  expect(dead.every(({ hold_step }) => hold_step === 2)).toBe(true);
});

test('a dry run shows the rungs with their runs, and the least, the expected and the most cost', async () => {
  const { arms, cost, runs, cells } = await createExperiment(s, actor, body({ dry_run: true }));
  expect(arms[0]?.rungs?.map(({ step, runs: { least, most } }) => [step, least, most])).toEqual([
    [2, 6, 6],
    [4, 3, 5],
    [8, 1, 4],
  ]);
  expect([runs.least, runs.most, cells.length]).toEqual([7, 7, 6]);
  const per = arms[0]?.seconds_per_run ?? { search: 0, final: 0 };
  // (6·2 + 3·2 + 1·4) / 8 and (6·2 + 5·2 + 4·4) / 8 whole runs of the search in 10 and in 15 attempts, each with its start, and one final run.
  const { least = 0, most = 0 } = cost?.seconds ?? {};
  const start = (least - (22 / 8) * per.search - per.final) / (10 - 22 / 8);
  expect(start).toBeGreaterThan(0);
  expect(start).toBeLessThan(per.search);
  expect(most).toBeCloseTo((38 / 8) * (per.search - start) + 15 * start + per.final, 6);
  expect(cost?.seconds.expected).toBeGreaterThan(cost?.seconds.least ?? 0);
  expect(cost?.seconds.expected).toBeLessThan(cost?.seconds.most ?? 0);
});

test('grows by seeds and keeps what was stopped; more rates it does not take', async () => {
  const request = body({ search: { type: 'asha', min: 1e-4, max: 1e-2, runs: 2, eta: 2 } });
  const { id } = await createExperiment(s, actor, request);
  await live(request.pool);
  const before = await look(id);
  expect(before.status).toBe('succeeded');
  await expect(growExperiment(s, actor, id, { max_runs: 9 })).rejects.toMatchObject({ param: 'max_runs' });
  const grown = await growExperiment(s, actor, id, { seeds: [7] });
  expect(grown.cells.filter(({ run_id }) => !before.cells.some((one) => one.run_id === run_id))).toMatchObject([
    { phase: 'final', seed: 7, status: 'queued', hold_step: null },
  ]);
});

test.each<[string, Record<string, unknown>, string]>([
  ['without max_steps', { fixed: { n_epochs: 2 } }, 'fixed.max_steps'],
  [
    'without room for a rung',
    { search: { type: 'asha', min: 1e-4, max: 1e-2, runs: 4, min_steps: 5 } },
    'search.min_steps',
  ],
  ['with ends that are the wrong way round', { search: { type: 'asha', min: 1e-2, max: 1e-4, runs: 4 } }, 'search'],
])('a search by rungs %s is refused', async (_what, changes, param) => {
  await expect(createExperiment(s, actor, body(changes))).rejects.toMatchObject({ code: 'invalid_value', param });
});
