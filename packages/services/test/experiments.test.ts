import { type ExperimentObject, newId } from '@moraine/contract';
import { testServices } from '@moraine/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { toRow } from '../src/experiments/experiment-row.js';
import { startCell } from '../src/experiments/start-cell.js';
import {
  type Actor,
  advanceExperiment,
  advanceExperiments,
  cancelExperiment,
  cancelRun,
  cloneExperiment,
  createBaseFromDir,
  createExperiment,
  createRun,
  deleteFile,
  deleteRun,
  getExperiment,
  getExperimentFrontier,
  getRun,
  growExperiment,
  listExperiments,
  loadOutcome,
  pauseExperiment,
  restoreRun,
  resumeExperiment,
  type Services,
  searchRuns,
} from '../src/index.js';
import { defaultActor, experimentFiles, goodRows, tinyFiles, uploadRows, writeFolder } from './tiny-base.js';

const t = await testServices();
afterAll(() => t.close());
const s: Services = t.services;
let actor: Actor;
let files: Awaited<ReturnType<typeof experimentFiles>>;
beforeAll(async () => {
  actor = await defaultActor(s);
  files = await experimentFiles(s, actor);
});

let names = 0;
const body = (changes: Record<string, unknown> = {}) => ({
  name: `experiment ${++names}`,
  model: 'tiny',
  training_file: files.train,
  evaluation: { validation: files.valid, test: files.test, source: [files.source], every_steps: 4 },
  fixed: { max_steps: 8, batch_size: 4 },
  arms: [
    { name: 'lora', adapter: { type: 'lora', rank: 2 }, learning_rates: [1e-3, 2e-3, 4e-3] },
    { name: 'full', adapter: 'full', learning_rates: { type: 'bracket', start: 1e-4 } },
  ],
  seeds: { search: 1, final: [2, 3] },
  ...changes,
});
const create = (changes: Record<string, unknown> = {}) => createExperiment(s, actor, body(changes));
const keysOf = ({ cells }: ExperimentObject): string[] =>
  cells.map(({ arm, phase, learning_rate, seed }) => `${arm} ${phase} ${learning_rate} ${seed}`).sort();
const runsOf = async (id: string) =>
  (await searchRuns(s, actor, { limit: 100, sort: 'created', count: true, experiment: id })).data;

/** Ends a run as a worker would have, with this validation loss; null: its loss was no number. */
async function endRun(id: string, loss: number | null): Promise<void> {
  const failure = { status: 'failed', errorCode: 'nan_loss', errorMessage: 'The loss is NaN at step 3.' };
  await s.db.task.update({
    where: { id },
    data: { ...(loss === null ? failure : { status: 'succeeded' }), finishedAt: new Date() },
  });
  if (loss === null) return;
  const { projectId } = actor;
  const points = {
    create: [
      { step: 4, value: loss + 1 },
      { step: 8, value: loss },
    ],
  };
  await s.db.metricSeries.create({ data: { projectId, runId: id, name: 'valid_loss', points } });
}

/** Ends every run that has not ended, by the rate and arm of its cell. */
async function endAll(id: string, lossAt: (arm: string, rate: number) => number | null): Promise<void> {
  const { cells } = await getExperiment(s, actor, id);
  for (const { run_id, status, arm, learning_rate } of cells)
    if (run_id !== null && status === 'queued') await endRun(run_id, lossAt(arm, learning_rate));
}
const valley = (best: number) => (_arm: string, rate: number) => 2 + Math.abs(Math.log2(rate / best));

describe('an experiment', () => {
  test('queues its first runs at once, as ordinary runs that say whose they are', async () => {
    const made = await create();
    expect(made).toMatchObject({ status: 'running', runs: { made: 6, ended: 0, least: 10 }, model: 'tiny' });
    expect(keysOf(made)).toEqual([
      'full search 0.00005 1',
      'full search 0.0001 1',
      'full search 0.0002 1',
      'lora search 0.001 1',
      'lora search 0.002 1',
      'lora search 0.004 1',
    ]);
    const runs = await runsOf(made.id);
    expect(runs).toHaveLength(6);
    const run = await getRun(s, actor, made.cells[0]?.run_id ?? '');
    expect(run).toMatchObject({
      experiment: { id: made.id, phase: 'search' },
      status: 'queued',
      priority: 40,
      seed: 1,
      validation_file: files.valid,
      config: { steps: 8, evaluation: { files: [files.valid] } },
    });
    expect(await s.queues.of('default').getJobCountByTypes('prioritized')).toBeGreaterThanOrEqual(6);
    const alone = await createRun(s, actor, { model: 'tiny', training_file: files.train });
    expect(alone).not.toHaveProperty('experiment');
  });

  test('searches each rate until it is bracketed, then runs the final seeds with the rows that are reported', async () => {
    const { id } = await create({ seeds: { search: 1, final: [2, 3, 4] } });
    await endAll(id, (arm, rate) => valley(arm === 'lora' ? 2e-3 : 4e-4)(arm, rate));
    await advanceExperiments(s);
    const second = await getExperiment(s, actor, id);
    expect(second.arms.map(({ phase, learning_rate }) => [phase, learning_rate])).toEqual([
      ['final', 2e-3],
      ['search', null],
    ]);
    expect(keysOf(second)).toContain('full search 0.0004 1');
    const final = second.cells.find(({ phase }) => phase === 'final');
    expect((await getRun(s, actor, final?.run_id ?? '')).config.evaluation.files).toEqual([
      files.valid,
      files.test,
      files.source,
    ]);

    for (let round = 0; round < 3; round++) {
      await endAll(id, (arm, rate) => valley(arm === 'lora' ? 2e-3 : 4e-4)(arm, rate));
      await advanceExperiments(s);
    }
    const done = await getExperiment(s, actor, id);
    expect(done).toMatchObject({ status: 'succeeded', reason: null, runs: { made: 14, ended: 14 } });
    expect(done.finished_at).not.toBeNull();
    expect(done.arms.map(({ phase, learning_rate, is_bracketed }) => [phase, learning_rate, is_bracketed])).toEqual([
      ['done', 2e-3, true],
      ['done', 4e-4, true],
    ]);
    await advanceExperiments(s);
    expect(await getExperiment(s, actor, id)).toEqual(done);
  });

  test('a run whose loss was no number counts as the worst rate and fails nothing', async () => {
    const { id } = await create();
    await endAll(id, (_arm, rate) => (rate > 3e-3 ? null : 2));
    await advanceExperiment(s, id);
    const after = await getExperiment(s, actor, id);
    expect(after.status).toBe('running');
    expect(after.cells.find(({ learning_rate }) => learning_rate === 4e-3)).toMatchObject({
      status: 'failed',
      score: null,
      error: 'The loss is NaN at step 3.',
    });
  });
});

describe('no cell is lost and none is made twice', () => {
  test('by many rounds at a time', async () => {
    const { id } = await create();
    await endAll(id, valley(2e-3));
    await Promise.all(Array.from({ length: 8 }, () => advanceExperiment(s, id)));
    const { cells, runs } = await getExperiment(s, actor, id);
    expect(runs.made).toBe(9);
    expect(new Set(cells.map(({ run_id }) => run_id)).size).toBe(9);
    expect(await runsOf(id)).toHaveLength(9);
  });

  test('by a round that was killed after some of its cells: the next one makes the others', async () => {
    const { id } = await create();
    const whole = await getExperiment(s, actor, id);
    const [kept, ...lost] = whole.cells.map(({ run_id }) => run_id ?? '');
    await s.db.task.deleteMany({ where: { id: { in: lost } } });
    await advanceExperiments(s);
    const again = await getExperiment(s, actor, id);
    expect(keysOf(again)).toEqual(keysOf(whole));
    expect(again.cells.map(({ run_id }) => run_id)).toContain(kept);
  });

  test('by a kill between the row of the experiment and its first run', async () => {
    const request = body();
    const { id } = await createExperiment(s, actor, request);
    const first = await getExperiment(s, actor, id);
    await s.db.task.deleteMany({ where: { run: { experimentId: id } } });
    expect((await createExperiment(s, actor, request)).id).toBe(id);
    expect(keysOf(await getExperiment(s, actor, id))).toEqual(keysOf(first));
  });

  test('by a kill after the run is stored and before its wake-up: the row is there and is not made again', async () => {
    const { id, cells } = await create();
    const [cell] = cells;
    const row = toRow(await s.db.experiment.findUniqueOrThrow({ where: { id } }));
    await startCell(s, row, {
      arm: cell?.arm ?? '',
      phase: 'search',
      learning_rate: cell?.learning_rate ?? 0,
      seed: 1,
    });
    expect(await runsOf(id)).toHaveLength(6);
  });

  test('by a decision about an experiment that has changed since', async () => {
    const { id } = await create();
    const row = toRow(await s.db.experiment.findUniqueOrThrow({ where: { id } }));
    await pauseExperiment(s, actor, id);
    const cell = { arm: 'lora', phase: 'final', learning_rate: 2e-3, seed: 2 } as const;
    await expect(startCell(s, row, cell)).rejects.toThrow();
    expect(await runsOf(id)).toHaveLength(6);
  });

  test('the database itself refuses two runs of one cell', async () => {
    const { id, cells } = await create();
    const [one, two] = await s.db.run.findMany({ where: { experimentId: id }, take: 2 });
    expect(cells).toHaveLength(6);
    await expect(
      s.db.run.update({ where: { id: two?.id ?? '' }, data: { experimentCell: one?.experimentCell ?? '' } }),
    ).rejects.toMatchObject({ code: 'P2002' });
  });

  test('a run that is deleted frees its cell, and is not in the way when it is restored', async () => {
    const { id, cells } = await create();
    const gone = cells[0]?.run_id ?? '';
    await endRun(gone, 2);
    await deleteRun(s, actor, gone);
    await advanceExperiment(s, id);
    const after = await getExperiment(s, actor, id);
    expect(after.cells.map(({ run_id }) => run_id)).not.toContain(gone);
    expect(after.runs.made).toBe(6);
    await restoreRun(s, actor, gone);
    expect(keysOf(await getExperiment(s, actor, id))).toEqual(keysOf(after));
  });
});

describe('its name finds it again', () => {
  test('the same request returns it, with other uploads of the same rows too', async () => {
    const request = body();
    const first = await createExperiment(s, actor, request);
    const again = (await uploadRows(s, actor, goodRows(64))).id;
    const all = await Promise.all([
      createExperiment(s, actor, { ...request, training_file: again }),
      createExperiment(s, actor, request),
    ]);
    expect(all.map(({ id }) => id)).toEqual([first.id, first.id]);
    expect(await runsOf(first.id)).toHaveLength(6);
  });

  test('one that an earlier version began, which had fewer keys, goes on as it was', async () => {
    const request = body({ evaluation: { ...body().evaluation, points: 'ends' } });
    const { id } = await createExperiment(s, actor, request);
    // As it was stored before there were `evaluation.points` and `fixed.checkpoint.result`.
    await s.pg.query(
      `UPDATE experiments SET request_hash = 'of fewer keys', request = request #- '{evaluation,points}' #- '{fixed,checkpoint}' WHERE id = $1`,
      [id],
    );
    const found = await createExperiment(s, actor, request);
    expect(found).toMatchObject({ id, request: { fixed: { checkpoint: { result: 'last' } } } });
    const [cell] = found.cells;
    expect((await getRun(s, actor, cell?.run_id ?? '')).config.checkpoint).toMatchObject({ result: 'best' });
    const other = { ...request, fixed: { ...request.fixed, max_steps: 9 } };
    await expect(createExperiment(s, actor, other)).rejects.toThrow(/asks for something else: 'fixed\.max_steps'\.$/);
    await endAll(id, valley(2e-3));
    await advanceExperiment(s, id);
    const { cells } = await getExperiment(s, actor, id);
    const made = cells.find(({ phase }) => phase === 'final');
    expect((await getRun(s, actor, made?.run_id ?? '')).config.checkpoint).toMatchObject({ result: 'last' });
  });

  test('another request is refused and says in what it differs', async () => {
    const request = body();
    const { id } = await createExperiment(s, actor, request);
    await expect(
      createExperiment(s, actor, { ...request, fixed: { max_steps: 9, batch_size: 4 } }),
    ).rejects.toMatchObject({
      code: 'conflict',
      message: `'${request.name}' is ${id}, which asks for something else: 'fixed.max_steps'.`,
    });
    const other = (await uploadRows(s, actor, goodRows(65))).id;
    await expect(createExperiment(s, actor, { ...request, training_file: other })).rejects.toThrow("'training_file'");
    await cancelExperiment(s, actor, id);
    expect((await createExperiment(s, actor, { ...request, training_file: other })).id).not.toBe(id);
  });
});

describe('a dry run', () => {
  test('shows arms with counts and coverage, the first cells and the cost, and stores nothing', async () => {
    const before = (await listExperiments(s, actor, { limit: 100 })).data.length;
    const plan = await create({ dry_run: true, seeds: { search: 1, final: [2, 3, 4] } });
    expect(plan).toMatchObject({ id: 'exp_dry-run', status: 'running', runs: { least: 12, most: 18, made: 0 } });
    expect(plan.arms.map(({ trainable_parameters }) => trainable_parameters)).toEqual([928, 4432]);
    expect(plan.arms[0]?.coverage).toMatch(/^14 linear layers/);
    expect(plan.cells).toHaveLength(6);
    expect(plan.cells[0]).toMatchObject({ run_id: null, status: null });
    const { cost, arms } = plan;
    expect(arms[0]?.seconds_per_run?.final).toBeGreaterThan(arms[0]?.seconds_per_run?.search ?? 0);
    const per = arms.map(({ seconds_per_run: one }) => one ?? { search: 0, final: 0 });
    const least = per.reduce((sum, { search, final }) => sum + 3 * search + 3 * final, 0);
    expect(cost?.seconds.least).toBeCloseTo(least, 6);
    expect(cost?.seconds.most).toBeCloseTo(least + 6 * (per[1]?.search ?? 0), 6);
    // Two seeds less, and the items of the base and of a run of each arm in their place.
    const few = await create({ dry_run: true, seeds: { search: 1, final: [2] } });
    const items = (few.cost?.seconds.least ?? 0) - least + per.reduce((sum, { final }) => sum + 2 * final, 0);
    expect(items).toBeGreaterThan(0);
    const tested = body().evaluation;
    const without = await create({
      dry_run: true,
      seeds: { search: 1, final: [2] },
      evaluation: { ...tested, test: undefined },
    });
    expect(few.cost?.seconds.least).toBeGreaterThan((without.cost?.seconds.least ?? 0) + items / 2);
    expect((await listExperiments(s, actor, { limit: 100 })).data).toHaveLength(before);
  });

  test('counts the evaluations of the final runs on their way back to the base, by what those of the pool took', async () => {
    const [plain, dialled] = [await create({ dry_run: true }), await create({ dry_run: true, lambdas: [0.25, 0.5] })];
    const added = { least: NaN, most: NaN };
    for (const end of ['least', 'most'] as const)
      added[end] = (dialled.cost?.seconds[end] ?? 0) - (plain.cost?.seconds[end] ?? 0);
    // Two arms of two seeds: at each share validation rows and the source file; then test rows once, where a share is chosen.
    expect(added.least).toBeGreaterThan(2 * 2 * 2 * 6);
    expect(added.most).toBeGreaterThan(added.least);
  });

  test('counts the analyses of the final runs, each as long as a run takes to start where none has ended', async () => {
    const { evaluation } = body();
    const plain = await create({ dry_run: true });
    const analyses = [{ kind: 'weights', when: ['during'] }];
    const fixed = { max_steps: 8, batch_size: 4, checkpoint: { every_steps: 4 } };
    const asked = await create({ dry_run: true, evaluation: { ...evaluation, analyses }, fixed });
    // The items of the base and of each final run; two arms of two seeds, two checkpoints each.
    expect(plain.cost?.beside).toEqual({ evaluations: { least: 5, most: 5 }, analyses: { least: 0, most: 0 } });
    expect(asked.cost?.beside).toEqual({ ...plain.cost?.beside, analyses: { least: 8, most: 8 } });
    const added = (asked.cost?.seconds.least ?? 0) - (plain.cost?.seconds.least ?? 0);
    expect(added).toBeGreaterThan(8 * 5);
  });

  test.each<[string, Record<string, unknown>, string, string]>([
    ['a base that there is not', { model: 'tinny' }, 'not_found', 'model'],
    ['a file that there is not', { training_file: `file-${'0'.repeat(24)}` }, 'not_found', 'training_file'],
    [
      'a validation file that there is not',
      { evaluation: { validation: 'file-x' } },
      'not_found',
      'evaluation.validation',
    ],
    ['an unknown key', { arm: [] }, 'unknown_key', 'arm'],
    [
      'a rank that a layer is too small for',
      { arms: [{ adapter: { type: 'lora', rank: 99 } }] },
      'invalid_value',
      'arms[0].adapter.rank',
    ],
    [
      'layers that there are not',
      { arms: [{ adapter: { type: 'lora', target_modules: ['w_proj'] } }] },
      'no_target_matched',
      'arms[0].adapter.target_modules',
    ],
    [
      'more runs than anybody wants',
      {
        seeds: { final: Array.from({ length: 32 }, (_, i) => i) },
        arms: Array.from({ length: 32 }, (_, i) => ({
          name: `a${i}`,
          adapter: 'lora',
          learning_rates: Array.from({ length: 50 }, (_, j) => (j + 1) * 1e-4),
        })),
      },
      'invalid_value',
      'arms',
    ],
  ])('%s is refused', async (_what, changes, code, param) => {
    await expect(create(changes)).rejects.toMatchObject({ code, param });
  });
});

describe('pausing and resuming', () => {
  test('holds every run and starts none; resuming goes on where it was', async () => {
    const { id } = await create();
    const paused = await pauseExperiment(s, actor, id);
    expect(paused.status).toBe('paused');
    expect(new Set(paused.cells.map(({ status }) => status))).toEqual(new Set(['paused']));
    await advanceExperiments(s);
    expect((await getExperiment(s, actor, id)).status).toBe('paused');
    const resumed = await resumeExperiment(s, actor, id);
    expect(resumed.status).toBe('running');
    expect(new Set(resumed.cells.map(({ status }) => status))).toEqual(new Set(['queued']));
  });

  test('a kill after the wish is stored leaves the rest to the next round, in both directions', async () => {
    const { id } = await create();
    await s.db.experiment.update({ where: { id }, data: { status: 'paused' } });
    await advanceExperiments(s);
    const statuses = async () => [...new Set((await getExperiment(s, actor, id)).cells.map(({ status }) => status))];
    expect(await statuses()).toEqual(['paused']);
    await s.db.experiment.update({ where: { id }, data: { status: 'running', isResuming: true } });
    await advanceExperiments(s);
    expect(await statuses()).toEqual(['queued']);
    await s.db.experiment.update({ where: { id }, data: { status: 'cancelled', finishedAt: new Date() } });
    await advanceExperiments(s);
    expect(await statuses()).toEqual(['cancelled']);
  });

  test('cancelling ends it and its runs, what was measured stays, and it neither grows nor goes on', async () => {
    const { id, cells } = await create();
    await endRun(cells[0]?.run_id ?? '', 2);
    const cancelled = await cancelExperiment(s, actor, id);
    expect(cancelled.status).toBe('cancelled');
    expect(cancelled.cells.map(({ status }) => status).sort()).toEqual([...Array(5).fill('cancelled'), 'succeeded']);
    expect((await cancelExperiment(s, actor, id)).finished_at).toBe(cancelled.finished_at);
    await expect(resumeExperiment(s, actor, id)).rejects.toMatchObject({ code: 'conflict' });
    await expect(growExperiment(s, actor, id, { seeds: [9] })).rejects.toMatchObject({ code: 'conflict' });
    await advanceExperiments(s);
    expect(await runsOf(id)).toHaveLength(6);
  });
});

describe('a run that fails for another reason than its rate', () => {
  test('fails the experiment when the other arms are done; resuming makes that run again and no other', async () => {
    const { id, cells } = await create({ evaluation: { validation: files.valid, every_steps: 4 } });
    const victim = cells.find(({ arm }) => arm === 'full')?.run_id ?? '';
    await cancelRun(s, actor, victim);
    await endAll(id, valley(2e-3));
    await advanceExperiment(s, id);
    await endAll(id, valley(2e-3));
    await advanceExperiment(s, id);
    const failed = await getExperiment(s, actor, id);
    expect(failed).toMatchObject({ status: 'failed', runs: { made: 8 } });
    expect(failed.reason).toBe(`full: ${victim} (lr 0.00005, seed 1) was cancelled`);
    expect(failed.arms.map(({ phase }) => phase)).toEqual(['done', 'failed']);
    const resumed = await resumeExperiment(s, actor, id);
    expect(resumed).toMatchObject({ status: 'running', reason: null, finished_at: null });
    expect(resumed.cells.filter(({ status }) => status === 'queued')).toHaveLength(1);
    expect(resumed.cells.map(({ run_id }) => run_id)).not.toContain(victim);
    expect((await getRun(s, actor, victim)).experiment?.id).toBe(id);
  });

  test('a base that became another one fails it and says so', async () => {
    const base = `gone${++names}`;
    await createBaseFromDir(s, actor, { name: base, dir: await writeFolder(tinyFiles()) });
    const { id } = await create({ model: base });
    await endAll(id, valley(2e-3));
    await s.db.base.updateMany({ where: { name: base }, data: { deletedAt: new Date() } });
    await createBaseFromDir(s, actor, { name: base, dir: await writeFolder(tinyFiles()) });
    await advanceExperiment(s, id);
    expect(await getExperiment(s, actor, id)).toMatchObject({
      status: 'failed',
      reason: expect.stringContaining(`'${base}' is another base now`),
    });
  });
});

describe('growing', () => {
  test('adds seeds and arms and re-uses every run', async () => {
    const { id } = await create({
      arms: [{ name: 'lora', adapter: 'lora', learning_rates: [1e-3, 2e-3, 4e-3] }],
      evaluation: { validation: files.valid, every_steps: 4 },
    });
    for (let round = 0; round < 2; round++) {
      await endAll(id, valley(2e-3));
      await advanceExperiment(s, id);
    }
    const done = await getExperiment(s, actor, id);
    expect(done).toMatchObject({ status: 'succeeded', runs: { made: 5 } });
    const grown = await growExperiment(s, actor, id, {
      seeds: [7],
      arms: [{ adapter: { type: 'mora', mora_type: 6, rank: 2 }, learning_rates: [1e-3] }],
    });
    expect(grown.status).toBe('running');
    const before = new Set(done.cells.map(({ run_id }) => run_id));
    expect(keysOf({ ...grown, cells: grown.cells.filter(({ run_id }) => !before.has(run_id)) })).toEqual([
      'lora final 0.002 7',
      'mora-6 r2 final 0.001 2',
      'mora-6 r2 final 0.001 3',
      'mora-6 r2 final 0.001 7',
    ]);
    expect(grown.runs.made).toBe(9);
  });

  test('its first request finds it afterwards, and so does one for what it has become', async () => {
    const request = body();
    const { id } = await createExperiment(s, actor, request);
    await growExperiment(s, actor, id, { seeds: [8], arms: [{ adapter: 'miss' }] });
    const grown = { ...request, arms: [...request.arms, { adapter: 'miss' }], seeds: { search: 1, final: [2, 3, 8] } };
    expect((await createExperiment(s, actor, request)).id).toBe(id);
    expect((await createExperiment(s, actor, grown)).id).toBe(id);
    await expect(createExperiment(s, actor, { ...grown, seeds: { final: [2, 3, 8, 9] } })).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining("'seeds.final[3]'"),
    });
  });

  test('lets a search that its bound left at an edge go on', async () => {
    const { id } = await create({ arms: [{ adapter: 'lora' }], search: { type: 'bracket', start: 1e-3, max_runs: 3 } });
    for (let round = 0; round < 2; round++) {
      await endAll(id, valley(4e-3));
      await advanceExperiment(s, id);
    }
    expect((await getExperiment(s, actor, id)).arms[0]).toMatchObject({ learning_rate: 2e-3, is_bracketed: false });
    const grown = await growExperiment(s, actor, id, { max_runs: 9 });
    expect(keysOf(grown)).toContain('lora search 0.004 1');
  });

  test('by rates to try is refused where every arm has rates of its own, and of a cancelled one a clone is named', async () => {
    const { id } = await create({ arms: [{ name: 'lora', adapter: 'lora', learning_rates: [1e-3, 2e-3] }] });
    await expect(growExperiment(s, actor, id, { max_runs: 9 })).rejects.toMatchObject({
      param: 'max_runs',
      message: expect.stringContaining('no arm has a bracket search'),
    });
    await cancelExperiment(s, actor, id);
    await expect(resumeExperiment(s, actor, id)).rejects.toMatchObject({ hint: expect.not.stringContaining('/grow') });
  });

  test.each<[string, Record<string, unknown>, string]>([
    ['nothing', {}, 'nothing to add'],
    ['a seed that it has', { seeds: [2] }, 'which the experiment has'],
    ['an arm that it has', { arms: [{ name: 'lora', adapter: 'lora' }] }, 'as that of arms[0]'],
  ])('%s is refused', async (_what, growth, message) => {
    const { id } = await create();
    await expect(growExperiment(s, actor, id, growth)).rejects.toThrow(message);
  });
});

describe('cloning', () => {
  test('starts it with other settings and names every difference', async () => {
    const { id, name } = await create();
    const clone = await cloneExperiment(s, actor, id, {
      fixed: { max_steps: 6 },
      seeds: { final: [5] },
      evaluation: { test: null },
    });
    expect(clone.id).not.toBe(id);
    expect(clone).toMatchObject({ cloned_from: id, name: `${name} copy`, runs: { made: 6 } });
    expect(clone.request).toMatchObject({ fixed: { max_steps: 6, batch_size: 4 }, seeds: { search: 1, final: [5] } });
    expect(clone.differences).toEqual([
      { key: 'evaluation.test', before: files.test, after: null },
      { key: 'fixed.max_steps', before: 8, after: 6 },
      { key: 'name', before: name, after: `${name} copy` },
      { key: 'seeds.final[0]', before: 2, after: 5 },
      { key: 'seeds.final[1]', before: 3, after: null },
    ]);
  });

  test('with nothing changed but the name it differs in the name', async () => {
    const { id, name } = await create();
    const clone = await cloneExperiment(s, actor, id, { name: `${name} b` });
    expect(clone.differences?.map(({ key }) => key)).toEqual(['name']);
    await expect(cloneExperiment(s, actor, id, { fixed: { steps: 4 } })).rejects.toMatchObject({
      param: 'fixed.steps',
    });
  });
});

describe('the outcome', () => {
  test('has every run with what it had and how it did, at the base and on its way', async () => {
    const { id } = await create();
    await endAll(id, valley(2e-3));
    await advanceExperiment(s, id);
    const cells = (await getExperiment(s, actor, id)).cells.filter(({ phase }) => phase === 'final');
    const run = cells[0]?.run_id ?? '';
    const scores = {
      projectId: actor.projectId,
      runId: run,
      attempt: 1,
      rows: 9,
      supervisedTokens: 30,
      tokenAccuracy: 0.5,
      bitsPerByte: 1.5,
    };
    for (const [fileId, step, loss] of [
      [files.valid, 0, 5],
      [files.test, 0, 6],
      [files.source, 0, 3],
      [files.valid, 4, 4],
      [files.source, 4, 3.125],
      [files.valid, 8, 2],
      [files.test, 8, 2.5],
      [files.source, 8, 3.25],
    ] as const)
      await s.db.evaluation.create({
        data: {
          ...scores,
          id: newId('evaluation'),
          fileId,
          name: fileId,
          step,
          loss,
          bitsPerByte: loss / 2,
          klToBase: step / 8,
        },
      });
    // Live: the run is queued, and its path is there as far as it goes.
    const [path] = (await getExperimentFrontier(s, actor, id)).runs;
    expect(path).toMatchObject({ run_id: run, status: 'queued' });
    expect(path?.points.map(({ step, x, y }) => [step, x, y])).toEqual([
      [0, 0, 0],
      [4, 1, -0.0625],
      [8, 3, -0.125],
    ]);
    await endRun(run, 2);
    await s.db.run.update({ where: { id: run }, data: { trainedTokens: 640n } });

    const outcome = await loadOutcome(s, actor, id);
    expect(outcome.arms.map(({ name, method, trainable_parameters }) => [name, method, trainable_parameters])).toEqual([
      ['lora', 'lora', 928],
      ['full', 'none', 4432],
    ]);
    expect(outcome.runs).toHaveLength(9);
    const final = outcome.runs.find(({ run_id }) => run_id === run);
    expect(final).toMatchObject({
      arm: 'lora',
      phase: 'final',
      seed: 2,
      learning_rate: 2e-3,
      status: 'succeeded',
      verdict: null,
      tokens: 640,
      steps: 8,
    });
    const seen = final?.points.map(({ step, scores: at }) => [
      step,
      at.map(({ role, use, loss }) => [role, use, loss]),
    ]);
    expect(seen).toEqual([
      [
        0,
        [
          ['target', 'validation', 5],
          ['target', 'test', 6],
          ['source', 'test', 3],
        ],
      ],
      [
        4,
        [
          ['target', 'validation', 4],
          ['source', 'test', 3.125],
        ],
      ],
      [
        8,
        [
          ['target', 'validation', 2],
          ['target', 'test', 2.5],
          ['source', 'test', 3.25],
        ],
      ],
    ]);
    expect(final?.points.map(({ kl }) => kl)).toEqual([0, 0.5, 1]);
    expect(final?.points[0]?.scores[0]).toMatchObject({ bits_per_byte: 2.5, rows: 9, supervised_tokens: 30 });
    const same = (key: 'base' | 'data' | 'evaluation_items' | 'order') =>
      new Set(outcome.runs.map((one) => one[key])).size;
    expect([same('base'), same('data'), same('evaluation_items'), same('order')]).toEqual([1, 1, 1, 3]);
  });

  test('two arms of other rows have other data and other orders', async () => {
    const mix = [{ file_id: files.source, weight: 0.5, role: 'source' }];
    const evaluation = { validation: files.valid, test: files.test };
    const arms = [
      { name: 'a', adapter: 'lora', learning_rates: [1e-3] },
      { name: 'b', adapter: 'lora', learning_rates: [1e-3], data_mix: mix },
    ];
    const { id } = await create({ arms, evaluation, varies: ['data'] });
    const { runs, arms: found } = await loadOutcome(s, actor, id);
    expect(found.map(({ replay_share }) => replay_share)).toEqual([null, 1 / 3]);
    const of = (arm: string) => runs.find((run) => run.arm === arm && run.seed === 2);
    expect(of('a')?.data).not.toBe(of('b')?.data);
    expect(of('a')?.order).not.toBe(of('b')?.order);
  });
});

test('a second upload of the rows that choose is not taken for rows to report on, nor for rows to train on', async () => {
  const rows = goodRows(17);
  const [valid, copy] = [(await uploadRows(s, actor, rows)).id, (await uploadRows(s, actor, rows)).id];
  expect(copy).not.toBe(valid);
  await expect(create({ evaluation: { validation: valid, test: copy } })).rejects.toMatchObject({
    code: 'invalid_value',
    param: 'evaluation.test',
    message: expect.stringContaining(`which holds the rows of '${valid}', evaluation.validation`),
  });
  await expect(create({ training_file: copy, evaluation: { validation: valid } })).rejects.toMatchObject({
    param: 'evaluation.validation',
  });
});

test('files that an experiment will need are not deleted while it has not ended', async () => {
  const test = (await uploadRows(s, actor, goodRows(11))).id;
  const { id } = await create({ evaluation: { validation: files.valid, test } });
  await expect(deleteFile(s, actor, test)).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringContaining(id),
  });
  await cancelExperiment(s, actor, id);
  expect(await deleteFile(s, actor, test)).toMatchObject({ deleted: true });
});

test('experiments are listed newest first, by status and in pages', async () => {
  const made = await create();
  const page = await listExperiments(s, actor, { limit: 1 });
  expect(page).toMatchObject({
    has_more: true,
    data: [{ id: made.id, arms: ['lora', 'full'], runs: { made: 6, ended: 0 } }],
  });
  const next = await listExperiments(s, actor, { limit: 1, after: made.id });
  expect(next.data[0]?.id).not.toBe(made.id);
  await expect(listExperiments(s, actor, { limit: 1, after: newId('experiment') })).rejects.toMatchObject({
    param: 'after',
  });
  await cancelExperiment(s, actor, made.id);
  const cancelled = await listExperiments(s, actor, { limit: 100, status: 'cancelled' });
  expect(cancelled.data[0]?.id).toBe(made.id);
});
