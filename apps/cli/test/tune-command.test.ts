import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { newId } from '@moraine/contract';
import type { ExperimentRequest } from '@moraine/contract/experiments';
import { advanceExperiment, registerWorker } from '@moraine/services';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { type CliApi, openApi } from './api.js';
import { columnsOf, moraineOnce } from './stack.js';
import { writeTinyBase } from './tiny-base.js';

// From a file of rows to a verdict, against the real API: what workers would have measured is written by this test.
vi.setConfig({ testTimeout: 120_000 });
let { api, client, cli, json, at, close } = {} as CliApi;
/** Where the command keeps what it divides; without a stack, so that the address comes from the environment. */
const tuneDir = (): string => at('no stack/tune');

beforeAll(async () => {
  ({ api, client, cli, json, at, close } = await openApi());
  writeTinyBase(at('base'));
  await cli('models', 'add', 'tiny', at('base'));
  const rows = Array.from({ length: 40 }, (_, i) => `{"prompt":"${i} and ${i}?","completion":"${2 * i}"}\n`);
  writeFileSync(at('my sums.jsonl'), rows.join(''));
  writeFileSync(at('known.jsonl'), rows.slice(0, 9).join('').replaceAll('and', 'or'));
});
afterAll(() => close());

/** Ends every run of an experiment with these losses on its rows, and what waits for scores at shares of the update, until it has ended. */
async function playTuning(id: string, lossOf: (step: number) => number): Promise<void> {
  const { db } = api.services;
  const { projectId } = api;
  for (let round = 0; round < 12; round++) {
    const { status, reason, cells, request } = await client.call('getExperiment', { params: { id } });
    if (status === 'succeeded') return;
    if (status !== 'running') throw new Error(`${id} is ${status}: ${reason}`);
    const { validation, test: judged } = (request as { evaluation: { validation: string; test: string } }).evaluation;
    for (const { run_id: runId, status: is, steps } of cells) {
      if (runId === null || is === 'succeeded') continue;
      await db.task.update({ where: { id: runId }, data: { status: 'succeeded', finishedAt: new Date() } });
      const { suffix } = await db.run.findUniqueOrThrow({ where: { id: runId } });
      const fineTunedModel = `ft:tiny:default:${(suffix ?? '').replaceAll(/[^\w.-]/g, '-')}:${runId.slice(-8)}`;
      await db.run.update({ where: { id: runId }, data: { step: steps, fineTunedModel, resultStep: steps } });
      const stored = { sha256: 'a'.repeat(64), sizeBytes: 10n, blobKey: `checkpoints/${runId}/${steps}`, metrics: {} };
      await db.checkpoint.create({
        data: { id: newId('checkpoint'), projectId, runId, step: steps, attempt: 1, ...stored },
      });
      const points = { create: [{ step: steps, value: lossOf(steps) }] };
      await db.metricSeries.create({ data: { projectId, runId, name: 'valid_loss', points } });
      for (const fileId of [validation, judged])
        for (const step of [0, steps]) {
          const of = { projectId, runId, attempt: 1, fileId, name: fileId, step };
          const figures = { rows: 8, supervisedTokens: 30, loss: lossOf(step), bitsPerByte: 1, tokenAccuracy: 0.5 };
          await db.evaluation.create({ data: { id: newId('evaluation'), ...of, ...figures } });
        }
    }
    const scores = await db.evaluationTask.findMany({ where: { experimentId: id } });
    await db.task.updateMany({
      where: { id: { in: scores.map((score) => score.id) } },
      data: { status: 'failed', errorCode: 'internal', errorMessage: 'not scored', finishedAt: new Date() },
    });
    await advanceExperiment(api.services, id);
  }
  throw new Error(`${id} does not end.`);
}

const experimentsThere = async () => (await client.call('listExperiments', { query: {} })).data;
/** The newest experiment, once it has runs. */
async function started(known: number): Promise<string> {
  await expect.poll(async () => (await experimentsThere()).length, { timeout: 60_000 }).toBe(known + 1);
  return (await experimentsThere())[0]?.id ?? '';
}
const folderOf = (): string => `${tuneDir()}/${readdirSync(tuneDir())[0]}`;

describe('tune', () => {
  const words = (...more: string[]) => ['tune', at('my sums.jsonl'), '--base', 'tiny', '--budget', '5h', ...more];

  test('divides and uploads the rows, waits for the end, and says that the base is not to be left', async () => {
    const tuning = json(...words());
    const id = await started(0);
    // Nothing is learned: the loss of the end is that of the beginning.
    await playTuning(id, () => 2);
    const verdict = await tuning;
    expect(verdict).toMatchObject({
      object: 'experiment.verdict',
      decision: 'do_not_use',
      experiment: id,
      model: null,
    });
    expect(folderOf()).toMatch(/\/my-sums-[0-9a-f]{12}$/);
    const { data } = await client.call('listFiles', { query: {} });
    expect(data.map(({ filename }) => filename).sort()).toEqual(['test.jsonl', 'train.jsonl', 'validation.jsonl']);
    const { name, arms } = await client.call('getExperiment', { params: { id } });
    expect(name).toMatch(/^tune my-sums-[0-9a-f]{12} [0-9a-f]{8}$/);
    expect(arms.map((arm) => arm.name)).toEqual(['LoRA', 'MoRA', 'full']);
  });

  test('run again finds it as it ended, and says how it came', async () => {
    const [before] = await experimentsThere();
    const { status, output } = await cli(...words());
    expect(status).toBe(0);
    expect(output).toContain('Do not use: ');
    expect(output).toContain(`How it came: npx moraine experiments report ${before?.id}`);
    expect(output).not.toContain('local generate');
    expect(await experimentsThere()).toEqual([before]);
    expect((await client.call('listFiles', { query: {} })).data).toHaveLength(3);
  });

  test('--dry-run shows arms, rates, cost and steps', async () => {
    const { status, output } = await cli(...words('--dry-run'));
    expect(status).toBe(0);
    const rows = output.split('\n').map(columnsOf);
    expect(rows.slice(2, 5).map((row) => row[0])).toEqual(['LoRA', 'MoRA', 'full']);
    expect(output).toMatch(/^runs +18 to 24$/m);
    // 24 rows to train on, in batches of 8: three times through is nine steps, and 20 are the least.
    expect(output).toMatch(/^20 steps a run\.$/m);
    expect(output).not.toContain('Do not use');
  });

  test('keeps the arms and steps that it chose, whatever estimates say later', async () => {
    const kept = readdirSync(folderOf()).filter((name) => /^[0-9a-f]{8}\.json(\.part)?$/.test(name));
    expect(kept).toHaveLength(1);
    const file = `${folderOf()}/${kept[0]}`;
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({ arms: ['LoRA', 'MoRA', 'full'], rates: 5, steps: 20 });
    writeFileSync(file, JSON.stringify({ arms: ['LoRA'], steps: 23 }));
    // Another length is another request under a name that is taken.
    expect(await cli(...words())).toMatchObject({ status: 1, output: expect.stringContaining("'fixed.max_steps'") });
  });

  test('with rows to keep is another one; cancelled, it ends with status 1 and no verdict', async () => {
    const [before] = await experimentsThere();
    const tuning = cli(...words('--keep', at('known.jsonl')));
    const id = await started(1);
    const { name, request } = await client.call('getExperiment', { params: { id } });
    expect(name).not.toBe(before?.name);
    const [source] = (request as { evaluation: { source: string[] } }).evaluation.source;
    expect((await client.call('getFile', { params: { id: source ?? '' } })).filename).toBe('known.jsonl');
    await client.call('cancelExperiment', { params: { id } });
    const { status, output } = await tuning;
    expect(status).toBe(1);
    expect(output).toMatch(new RegExp(`^${id}: cancelled after \\d+ runs`, 'm'));
    expect(output).not.toContain('Do not use');
  });
});

test('where workers are there and none has trained the base, a short run of each arm is timed first', async () => {
  const { services: s } = api;
  const known = (await experimentsThere()).length;
  await registerWorker(s, {
    ...{ name: 'timer', pool: 'default', host: 'here', pid: 1, version: '1', cores: 1, memoryBytes: 2 ** 36 },
    device: { kind: 'cpu', name: 'cpu', tensorflow: null, bfloat16: null },
  });
  await s.pg.query("DELETE FROM metric_series WHERE name = 'step_ms'");
  const tuning = cli('tune', at('my sums.jsonl'), '--base', 'tiny', '--budget', '4h');
  const timed = () => s.db.run.findMany({ where: { suffix: { startsWith: 'timed ' } }, include: { task: true } });
  await expect.poll(async () => (await timed()).length, { timeout: 60_000 }).toBe(3);
  expect(await experimentsThere()).toHaveLength(known);
  for (const { id, projectId, config, task } of await timed()) {
    expect(config).toMatchObject({ steps: 10, batch_size: 8 });
    expect(task.status).toBe('queued');
    // A millisecond a token, as a worker would have measured.
    const series = await s.db.metricSeries.create({ data: { projectId, runId: id, name: 'step_ms' } });
    const rollup = { n: 10, sum: 1000, min: 100, max: 100, firstStep: 1, first: 100, lastStep: 10, last: 100 };
    await s.db.metricRollup.create({ data: { seriesId: series.id, bucket: 0, ...rollup } });
    await s.db.run.update({ where: { id }, data: { step: 10, trainedTokens: 1000 } });
    await s.db.task.update({ where: { id }, data: { status: 'succeeded', finishedAt: new Date() } });
  }
  const id = await started(known);
  const { request } = await client.call('getExperiment', { params: { id } });
  const { cost } = await client.call('createExperiment', {
    body: { ...(request as ExperimentRequest), dry_run: true },
  });
  expect(cost?.measured_runs).toBe(1);
  await client.call('cancelExperiment', { params: { id } });
  expect((await tuning).status).toBe(1);
});

test.each([
  [['--budget', '1s'], /^moraine: A budget of 1 s is too short: the least takes .*\. Write --budget \d+m, or start/, 2],
  [['--budget', 'soon'], /--budget is 'soon', which is no time\./, 2],
  [['--base', 'tyni'], /Did you mean 'tiny'\?/, 1],
  [['--keep', 'none.jsonl'], /There is no file .*none\.jsonl/, 1],
  [['--forget-most', '0.1'], /there is no --keep/, 2],
  [['more.jsonl'], /'more\.jsonl' is one argument too many\./, 2],
])('tune with %j is refused', async (words, message, wanted) => {
  const { status, output } = await cli('tune', at('my sums.jsonl'), '--base', 'tiny', '--dry-run', ...words);
  expect([status, output]).toEqual([wanted, expect.stringMatching(message)]);
});

test('tune without a server says how one is started, before rows are touched', async () => {
  const words = ['tune', at('my sums.jsonl'), '--data', at('nowhere')];
  expect(await moraineOnce(words)).toMatchObject({ status: 1, output: expect.stringContaining('No stack runs on') });
  expect(existsSync(at('nowhere'))).toBe(false);
});
