import { testServices } from '@moraine/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  claimRun,
  failAttempt,
  finishAttempt,
  getRun,
  ingestMetrics,
  listRuns,
  type Services,
  searchRuns,
  startAttempt,
} from '../src/index.js';
import { lossVerdict, validationVerdict } from '../src/training/run-verdict.js';
import { type Seeded, seedProject, seedRun, seedWorker } from './seed-run.js';

const ends = (values: readonly number[], name = 'train_loss') => ({
  name,
  first: values.slice(0, 8),
  last: values.toReversed().slice(0, 8),
  count: values.length,
});

const series = (count: number, value: (at: number) => number) => Array.from({ length: count }, (_, at) => value(at));
/** Deterministic noise in [-1, 1]. */
const noise = (at: number): number => Math.sin(at * 12.9898) * Math.cos(at * 78.233);

describe('a loss says that a run diverged', () => {
  test.each<[string, number[]]>([
    ['to 16,445', series(200, (at) => (at < 40 ? 3.2 : 16_445 + 900 * noise(at)))],
    ['to uniform guessing', series(300, (at) => 2.1 + (at / 300) * 8.3 + 0.2 * noise(at))],
    ['within a few steps', [3, 5, 100, 2000, 16_445, 16_000, 15_000, 17_000]],
    ['after it had been learning', series(400, (at) => (at < 200 ? 3 - at / 100 : 12 + noise(at)))],
  ])('%s', (_, values) => {
    expect(lossVerdict(ends(values))).toMatchObject({
      code: 'diverged',
      message: expect.stringContaining('rose from'),
    });
  });

  test.each<[string, number[]]>([
    ['of one that learns', series(200, (at) => 0.4 + 3 * Math.exp(-at / 40) + 0.2 * noise(at))],
    ['of one that learns nothing', series(200, (at) => 2.3 + 0.4 * noise(at))],
    ['of single rows that differ widely', series(60, (at) => 1.6 + 1.2 * noise(at))],
    ['that is small and rises a little', series(100, (at) => 0.05 + at * 0.005)],
    ['of one step', [40]],
    ['of no step', []],
    ['with one bad batch at the end', [...series(50, (at) => 3 - at / 50), 90]],
  ])('but not %s', (_, values) => {
    expect(lossVerdict(ends(values))).toBeNull();
  });

  test('and the sentence has the values and what to do', () => {
    expect(lossVerdict(ends([3.21, 3.2, 16_445, 16_445], 'valid_loss'))?.message).toBe(
      'The validation loss rose from 3.205 to 16,445 nats per token. Lower the learning rate or lengthen the warm-up.',
    );
  });
});

describe('a validation loss says that a run overfitted', () => {
  const validated = (values: readonly number[]) => {
    const value = Math.min(...values);
    const best = values.length === 0 ? null : { value, step: 10 * (values.indexOf(value) + 1) };
    return validationVerdict({ ...ends(values, 'valid_loss'), best });
  };

  test('where it rose well above its best, with the step and what to do', () => {
    expect(validated([3, 2.2, 1.5, 1.8, 2.1, 2.4])).toEqual({
      code: 'overfitted',
      message:
        'The validation loss was best at step 30 (1.5 nats per token) and rose to 2.4. Train for fewer steps, or on more rows.',
    });
    expect(validated([0.5, 0.1, 0.2, 0.3])?.code).toBe('overfitted');
  });

  test.each<[string, number[]]>([
    ['falls to its end', [3, 2, 1.5, 1.2, 1.1]],
    ['stays where it is', [1.5, 1.45, 1.5, 1.48, 1.52]],
    ['is worse once', [3, 2, 1.5, 1.4, 1.4, 1.9]],
    ['is tiny and doubles', [0.5, 0.01, 0.02, 0.03]],
    ['was taken three times', [1, 2, 3]],
    ['was never taken', []],
  ])('but not one that %s', (_, values) => expect(validated(values)).toBeNull());

  test('and not where the result of the run is of that best', () => {
    const rising = { ...ends([3, 2.2, 1.5, 1.8, 2.1, 2.4], 'valid_loss'), best: { value: 1.5, step: 30 } };
    expect(validationVerdict({ ...rising, result_step: 60 })?.code).toBe('overfitted');
    expect(validationVerdict({ ...rising, result_step: 30 })).toBeNull();
  });

  test('and a training loss never does: its batches differ', () => {
    const values = [3, 1, 2, 2];
    expect(validationVerdict({ ...ends(values), best: { value: 1, step: 2 } })).toBeNull();
  });
});

describe('a stored run', () => {
  const t = testServices();
  let s: Services;
  let seeded: Seeded;
  beforeAll(async () => {
    s = (await t).services;
    seeded = await seedProject(s);
  });
  afterAll(async () => (await t).close());

  const claim = async () => {
    const id = await seedRun(s, seeded);
    const claimed = await claimRun(s, { workerId: await seedWorker(s), pool: 'default' });
    if (claimed?.token.taskId !== id) throw new Error('another run was claimed');
    await startAttempt(s, claimed.token, { startStep: 0 });
    return claimed.token;
  };
  /** The verdict of each run by every way to read it. */
  const readVerdicts = async (...ids: string[]) => {
    const actor = { projectId: seeded.projectId, keyId: null };
    const { data: listed } = await listRuns(s, actor, { limit: 10 });
    const { data: found } = await searchRuns(s, actor, { limit: 10, sort: '-created', count: false });
    const each = async (id: string) =>
      [await getRun(s, actor, id), ...[listed, found].map((rows) => rows.find((one) => one.id === id))].map((run) =>
        run === undefined ? 'not there' : run.verdict?.code,
      );
    return Promise.all(ids.map(each));
  };
  const everywhere = (code: string | undefined) => [code, code, code];

  test('bears its verdict wherever it is read, and bears it still when its points are gone', async () => {
    const [bad, good, failed] = [await claim(), await claim(), await claim()];
    for (const token of [bad, good, failed]) {
      const lossOf = (step: number) => (token === good ? 3 / step : 3 * 2 ** step);
      const batch = Array.from({ length: 20 }, (_, at) => ({ step: at + 1, values: { train_loss: lossOf(at + 1) } }));
      await ingestMetrics(s, token, batch);
    }
    const ids = [bad, good, failed].map(({ taskId }) => taskId);
    const expected = [everywhere('diverged'), everywhere(undefined), everywhere('diverged')];
    expect(await readVerdicts(...ids)).toEqual(expected);
    for (const token of [bad, good]) await finishAttempt(s, token, { step: 20, trainedTokens: null });
    await failAttempt(s, failed, { cause: 'user_config', code: 'diverged', message: 'The loss diverged.' });
    await s.pg.query('DELETE FROM metric_series WHERE run_id = ANY ($1)', [ids]);
    expect(await readVerdicts(...ids)).toEqual(expected);
  });

  test('is judged by its points where it ended before verdicts were kept', async () => {
    const token = await claim();
    const batch = Array.from({ length: 20 }, (_, at) => ({ step: at + 1, values: { train_loss: 3 * 2 ** at } }));
    await ingestMetrics(s, token, batch);
    await finishAttempt(s, token, { step: 20, trainedTokens: null });
    await s.pg.query('UPDATE runs SET verdict = NULL WHERE id = $1', [token.taskId]);
    expect(await readVerdicts(token.taskId)).toEqual([everywhere('diverged')]);
  });

  test('is overfitted by the step where its validation was best, whatever its training says', async () => {
    const actor = { projectId: seeded.projectId, keyId: null };
    const token = await claim();
    const batch = [2.5, 1.5, 1.9, 2.2].map((valid_loss, at) => ({
      step: 5 * (at + 1),
      values: { train_loss: 2 / (at + 1), valid_loss },
    }));
    await ingestMetrics(s, token, batch);
    expect((await getRun(s, actor, token.taskId)).verdict).toMatchObject({
      code: 'overfitted',
      message: expect.stringContaining('best at step 10 (1.5 nats per token) and rose to 2.2'),
    });
  });
});
