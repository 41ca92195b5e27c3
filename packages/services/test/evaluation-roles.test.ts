import type { EvaluationResult } from '@moraine/contract';
import { testServices } from '@moraine/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  type Actor,
  claimRun,
  createBaseFromDir,
  createRun,
  deleteFile,
  listEvaluations,
  type Services,
  startAttempt,
} from '../src/index.js';
import { recordEvaluation } from '../src/training/record-evaluation.js';
import { seedWorker } from './seed-run.js';
import { defaultActor, goodRows, tinyFiles, uploadRows, writeFolder } from './tiny-base.js';

const t = await testServices();
afterAll(() => t.close());
const s: Services = t.services;
let actor: Actor;
let [training, target, source, plain] = ['', '', '', ''];

beforeAll(async () => {
  actor = await defaultActor(s);
  await createBaseFromDir(s, actor, { name: 'tiny', dir: await writeFolder(tinyFiles()) });
  [training, target, source, plain] = (await Promise.all(
    [1, 2, 3, 4].map(async () => (await uploadRows(s, actor, goodRows(20))).id),
  )) as [string, string, string, string];
});

const create = (files: unknown[], rest: object = {}) =>
  createRun(s, actor, { model: 'tiny', training_file: training, evaluation: { files }, ...rest });

const resultOf = (fileId: string): EvaluationResult => ({
  fileId,
  name: fileId,
  step: 0,
  rows: 20,
  supervisedTokens: 100,
  loss: 2,
  bitsPerByte: 1.5,
  tokenAccuracy: 0.5,
  exactMatch: null,
  samples: [],
});

test('a file named alone is a target, one with a role has it, and each evaluation says which', async () => {
  const run = await create([{ file_id: target }, { file_id: source, role: 'source' }, plain], { pool: 'roles' });
  expect(run.config.evaluation).toMatchObject({
    files: [target, source, plain],
    roles: { [target]: 'target', [source]: 'source', [plain]: 'target' },
  });
  const workerId = await seedWorker(s, 'roles');
  const claim = await claimRun(s, { workerId, pool: 'roles' });
  if (claim?.kind !== 'train') throw new Error('nothing to claim');
  expect(claim.job.evaluationFiles.map(({ id }) => id)).toEqual([target, source, plain]);
  await startAttempt(s, claim.token, { startStep: 0 });
  for (const id of [target, source, plain]) await recordEvaluation(s, claim.token, resultOf(id));
  const { data } = await listEvaluations(s, actor, run.id);
  expect(Object.fromEntries(data.map(({ file_id, role }) => [file_id, role]))).toEqual(run.config.evaluation.roles);

  expect(data.map(({ bits_per_byte }) => bits_per_byte)).toEqual([1.5, 1.5, 1.5]);
  await recordEvaluation(s, claim.token, { ...resultOf(target), bitsPerByte: 1.25 });
  const again = (await listEvaluations(s, actor, run.id)).data.find(({ file_id }) => file_id === target);
  expect(again?.bits_per_byte).toBe(1.25);

  // A run of an earlier version has files without roles.
  const { roles: _roles, ...evaluation } = run.config.evaluation;
  await s.db.run.update({ where: { id: run.id }, data: { config: { ...run.config, evaluation } } });
  expect((await listEvaluations(s, actor, run.id)).data.map(({ role }) => role)).toEqual([
    'target',
    'target',
    'target',
  ]);
});

test('a file is held for its run whatever its role', async () => {
  await create([{ file_id: source, role: 'source' }]);
  await expect(deleteFile(s, actor, source)).rejects.toMatchObject({ code: 'conflict' });
});

test.each<[string, () => unknown[], string]>([
  ['two roles for one file', () => [target, { file_id: target, role: 'source' }], 'evaluation.files[1]'],
  [
    'a file that is evaluated on the way and not',
    () => [target, { file_id: target, during: 'steps' }],
    'evaluation.files[1].during',
  ],
  ['a role that is none', () => [{ file_id: target, role: 'kept' }], 'evaluation.files[0]'],
  ['an unknown key', () => [target, { file_id: source, weight: 1 }], 'evaluation.files[1]'],
  ['a file that is not there', () => [target, { file_id: 'file-nothing', role: 'source' }], 'evaluation.files[1]'],
])('refuses %s, naming the place', async (_, files, param) => {
  await expect(create(files())).rejects.toMatchObject({ param: expect.stringContaining(param) });
});

test('the same file twice in one role is one file', async () => {
  const run = await create([target, { file_id: target, role: 'target' }], { dry_run: true });
  expect(run.config.evaluation.files).toEqual([target]);
});
