import { RunObject } from '@moraine/contract';
import { testServices } from '@moraine/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  type Actor,
  cancelRun,
  claimRun,
  createBaseFromDir,
  createRun,
  deleteFile,
  estimateRun,
  type Services,
} from '../src/index.js';
import { seedWorker } from './seed-run.js';
import { defaultActor, goodRows, tinyFiles, uploadRows, writeFolder } from './tiny-base.js';

const t = await testServices();
afterAll(() => t.close());
const s: Services = t.services;
let actor: Actor;
let [training, old] = ['', ''];

const rowsOf = (count: number, answer: string): string =>
  Array.from({ length: count }, (_, i) => JSON.stringify({ prompt: `ask ${i}`, completion: `${answer} ${i}` })).join(
    '\n',
  );
const upload = async (rows: string, name?: string): Promise<string> =>
  (await uploadRows(s, actor, rows, 'fine-tune', name)).id;

beforeAll(async () => {
  actor = await defaultActor(s);
  await createBaseFromDir(s, actor, { name: 'tiny', dir: await writeFolder(tinyFiles()) });
  training = await upload(rowsOf(28, 'new'));
  old = await upload(rowsOf(8, 'old and well known'), 'old.jsonl');
});

const mix = () => [
  { file_id: training, weight: 7 },
  { file_id: old, role: 'source' },
];
const ask = (body: object) =>
  createRun(s, actor, { model: 'tiny', training_file: training, data_mix: mix(), batch_size: 4, ...body });

test('a run on a mix has its files, weights and roles resolved, and the worker gets the files in their order', async () => {
  const run = await ask({ pool: 'mix', regularize: { kl_to_base: 0.5, on: 'replay' } });
  expect(run.config.data_mix).toEqual([
    { file_id: training, weight: 7, role: 'target' },
    { file_id: old, weight: 1, role: 'source' },
  ]);
  expect(run).toMatchObject({ training_file: training, config: { steps: 24, n_epochs: 3 } }); // 3 · 28 · 8/7 rows
  const claim = await claimRun(s, { workerId: await seedWorker(s, 'mix'), pool: 'mix' });
  if (claim?.kind !== 'train') throw new Error('nothing to claim');
  expect(claim.job.trainingFile.id).toBe(training);
  expect(claim.job.mixFiles).toMatchObject([{ id: old, name: 'old.jsonl' }]);
  expect(claim.job.config.regularize).toEqual({ kl_to_base: 0.5, on: 'replay' });
});

test('a dry run and an estimate say the share of each file in rows, tokens and passes', async () => {
  const run = await ask({ dry_run: true });
  expect(RunObject.parse(run)).toEqual(run);
  const shares = run.rehearsal?.map(({ file_id, mix: share }) => [
    file_id,
    share?.role,
    share?.rows_share,
    share?.passes,
  ]);
  expect(shares).toEqual([
    [training, 'target', 0.875, 3],
    [old, 'source', 0.125, 1.5],
  ]);
  const tokens = run.rehearsal?.map((file) => file.mix?.tokens_share ?? 0) ?? [];
  expect(tokens[1]).toBeGreaterThan(0.125); // its rows are longer
  expect((tokens[0] ?? 0) + (tokens[1] ?? 0)).toBeCloseTo(1, 12);
  const estimate = await estimateRun(s, actor, {
    model: 'tiny',
    training_file: training,
    data_mix: mix(),
    batch_size: 4,
  });
  expect(estimate.config).toEqual({ ...run.config, seed: estimate.config.seed });
  expect(estimate.rehearsal).toEqual(run.rehearsal);
});

test('rows that two files of a mix have are said, and rows of either that are scored', async () => {
  const both = await upload(`${rowsOf(2, 'old and well known')}\n${rowsOf(1, 'new')}`);
  const run = await ask({ dry_run: true, validation_file: both, data_mix: [...mix(), { file_id: both }] });
  expect(run.rehearsal?.map(({ param }) => param)).toEqual([
    'training_file',
    'data_mix[1].file_id',
    'data_mix[2].file_id',
    'validation_file',
  ]);
  const said = run.rehearsal?.flatMap(({ warnings }) => warnings);
  expect(said).toContainEqual(expect.stringContaining('3 rows are in a training file before it too'));
  expect(said).toContainEqual(expect.stringMatching(/^Validation file: 3 rows are in the training file too/));
});

test('a file of a mix cannot be deleted while the run needs it', async () => {
  const file = await upload(goodRows(10));
  const run = await ask({ data_mix: [{ file_id: file, role: 'source' }], pool: 'none' });
  await expect(deleteFile(s, actor, file)).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringContaining(run.id),
  });
  await cancelRun(s, actor, run.id);
  await expect(deleteFile(s, actor, file)).resolves.toMatchObject({ deleted: true });
});

test.each([
  ['data_mix[0].file_id', 'not_found', { data_mix: [{ file_id: 'file-000000000000000000000000' }] }],
  ['regularize.on', 'invalid_value', { regularize: { kl_to_base: 1, on: 'replay' }, data_mix: [] }],
])('what a mix cannot be is refused by its key: %s', async (param, code, body) => {
  await expect(ask(body)).rejects.toMatchObject({ code, param });
});
