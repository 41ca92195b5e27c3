import { readFile } from 'node:fs/promises';
import { drawCanaries } from '@moraine/contract/analyses';
import { testServices } from '@moraine/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Actor, Services } from '../../src/index.js';
import * as services from '../../src/index.js';
import { defaultActor, goodRows, otherActor, tinyFiles, uploadOf, uploadRows, writeFolder } from '../tiny-base.js';

const t = await testServices();
afterAll(() => t.close());
const s: Services = t.services;

let owner: Actor;
let stranger: Actor;
const ours = {
  file: '',
  run: '',
  evaluation: '',
  scored: '',
  analysis: '',
  canaries: '',
  experiment: '',
  valid: '',
  base: 'tiny',
  adapter: 'records',
  tuned: '',
  key: '',
  upload: '',
  webhook: '',
  delivery: '',
};
beforeAll(async () => {
  owner = await defaultActor(s);
  stranger = await otherActor(s);
  await services.createBaseFromDir(s, owner, { name: ours.base, dir: await writeFolder(tinyFiles()) });
  await serveAdapter();
  ours.file = (await uploadRows(s, owner, goodRows(64))).id;
  ours.webhook = (await services.createWebhook(s, owner, { url: 'https://127.0.0.1:9/' }, { allowsPrivate: true })).id;
  ours.delivery = (await services.testWebhook(s, owner, ours.webhook, { allowsPrivate: false })).id;
  const upload = { filename: 'f', purpose: 'evals', bytes: 9, mime_type: 'text/jsonl' };
  ours.upload = (await services.createUpload(s, owner, upload, 100)).id;
  ours.run = (await services.createRun(s, owner, { model: ours.base, training_file: ours.file })).id;
  const done = await services.createRun(s, owner, { model: ours.base, training_file: ours.file, suffix: 'done' });
  ours.tuned = `ft:tiny:default:done:${done.id.slice(-8)}`;
  await s.db.run.update({
    where: { id: done.id },
    data: { task: { update: { status: 'succeeded', finishedAt: new Date() } }, fineTunedModel: ours.tuned },
  });
  const asked = { model: ours.base, suite: 'file', file: ours.file };
  ours.evaluation = (await services.createEvaluation(s, owner, asked)).id;
  ours.scored = (await services.createEvaluation(s, owner, asked)).id;
  const drawn = drawCanaries('digits', { count: 1, controls: 0, seed: 1 });
  const planted = {
    format: 'moraine-canaries',
    format_version: 1,
    kind: 'digits',
    seed: 1,
    repeat: 1,
    row_format: 'chat',
    ...drawn,
  };
  ours.canaries = (await uploadRows(s, owner, JSON.stringify(planted), 'evals', 'canaries.json')).id;
  ours.analysis = (
    await services.createAnalysis(s, owner, { kind: 'canaries', model: ours.base, file: ours.canaries })
  ).id;
  ours.valid = (await uploadRows(s, owner, goodRows(8))).id;
  ours.experiment = (await services.createExperiment(s, owner, experiment('ours'))).id;
  ours.key = (await services.createApiKey(s, owner, { name: 'ours' })).id;
});

/** An adapter of ours, and a process that has it and is pinned to our project. */
async function serveAdapter(): Promise<void> {
  const base = await s.db.base.findFirstOrThrow({ where: { projectId: owner.projectId } });
  const sha256 = 'a'.repeat(64);
  const place = { blobPrefix: 'adapters/a', sha256, sizeBytes: 1, config: {} };
  await s.db.uploadedAdapter.create({
    data: { id: 'adapter_a', projectId: owner.projectId, baseId: base.id, name: ours.adapter, ...place },
  });
  const facts = { baseSha256: base.sha256, secret: 's', host: 'h', pid: 1, version: '0', rows: 8 };
  const id = await services.registerProcess(s, facts);
  const adapters = [{ sha256, kind: 'slot', bytes: 9, pinnedBy: [owner.projectId] }];
  const news = { address: 'http://127.0.0.1:9', device: null, answering: 0, adapters };
  await services.heartbeatProcess(s, id, { status: 'ready', ...news });
}

const experiment = (name: string) => ({
  name,
  model: ours.base,
  training_file: ours.file,
  evaluation: { validation: ours.valid },
  arms: [{ adapter: 'lora' }],
});

const noExport = () => Promise.reject(new Error('nothing is made here'));

type Call = (actor: Actor) => Promise<unknown>;

/** Verbs that take an id or a name of ours. What changes something comes last. */
const BY_ID: Record<string, Call> = {
  getFile: (actor) => services.getFile(s, actor, ours.file),
  openFile: async (actor) => (await services.openFile(s, actor, ours.file)).stream.destroy(),
  getFileValidation: (actor) => services.getFileValidation(s, actor, ours.file),
  previewStoredFile: (actor) =>
    services.previewStoredFile(s, actor, ours.file, { model: ours.base, after: 0, limit: 1, over_length: 'truncate' }),
  splitStoredFile: (actor) => services.splitStoredFile(s, actor, ours.file, {}),
  estimateRun: (actor) => services.estimateRun(s, actor, { model: ours.base, training_file: ours.file }),
  getModel: (actor) => services.getModel(s, actor, ours.tuned),
  'getModel of a base': (actor) => services.getModel(s, actor, ours.base),
  findServed: (actor) => services.findServed(s, actor, ours.base),
  findTrained: (actor) => services.findTrained(s, actor, ours.adapter),
  getAdapter: (actor) => services.getAdapter(s, actor, ours.adapter),
  getRun: (actor) => services.getRun(s, actor, ours.run),
  requireRuns: (actor) => services.requireRuns(s, actor, [ours.run]),
  requireRun: (actor) => services.requireRun(s, actor, ours.run),
  listEvents: (actor) => services.listEvents(s, actor, ours.run, { limit: 10 }),
  listLogs: (actor) => services.listLogs(s, actor, ours.run, { after: 0, limit: 10 }),
  listCheckpoints: (actor) => services.listCheckpoints(s, actor, ours.run, { limit: 10 }),
  listEvaluations: (actor) => services.listEvaluations(s, actor, ours.run),
  readMetrics: (actor) => services.readMetrics(s, actor, ours.run, { buckets: 10 }),
  readMetricsText: (actor) => services.readMetricsText(s, actor, ours.run, { buckets: 10 }),
  openAdapter: (actor) => services.openAdapter(s, actor, ours.run, { format: 'native', lambda: 1 }, noExport),
  createRun: (actor) => services.createRun(s, actor, { model: ours.base, training_file: ours.file }),
  createEvaluation: (actor) =>
    services.createEvaluation(s, actor, { model: ours.base, suite: 'file', file: ours.file }),
  createAnalysis: (actor) =>
    services.createAnalysis(s, actor, { kind: 'canaries', model: ours.base, file: ours.canaries }),
  getAnalysis: (actor) => services.getAnalysis(s, actor, ours.analysis),
  getRunAnalyses: (actor) => services.getRunAnalyses(s, actor, ours.run, { kind: 'weights' }),
  listAnalysisRows: (actor) => services.listAnalysisRows(s, actor, ours.analysis, { limit: 10 }),
  listAnalysisEvents: (actor) => services.listAnalysisEvents(s, actor, ours.analysis, { limit: 10 }),
  cancelAnalysis: (actor) => services.cancelAnalysis(s, actor, ours.analysis),
  getEvaluation: (actor) => services.getEvaluation(s, actor, ours.evaluation),
  listEvaluationItems: (actor) => services.listEvaluationItems(s, actor, ours.evaluation, { limit: 10 }),
  followEvaluation: async (actor) => {
    for await (const _ of services.followEvaluation(s, actor, ours.evaluation, { from: 0 }, AbortSignal.timeout(5_000)))
      return;
  },
  listEvaluationEvents: (actor) => services.listEvaluationEvents(s, actor, ours.evaluation, { limit: 10 }),
  compareEvaluations: (actor) =>
    services.compareEvaluations(s, actor, ours.evaluation, { with: ours.scored, limit: 10 }),
  cancelEvaluation: (actor) => services.cancelEvaluation(s, actor, ours.evaluation),
  partBytesMax: (actor) => services.partBytesMax(s, actor, ours.upload),
  addUploadPart: async (actor) =>
    services.addUploadPart(s, actor, ours.upload, await uploadOf(s, { data: 'a'.repeat(9) })),
  completeUpload: async (actor) =>
    services.completeUpload(s, actor, ours.upload, {
      part_ids: (await s.db.uploadPart.findMany({ where: { uploadId: ours.upload } })).map(({ id }) => id),
    }),
  createExperiment: (actor) => services.createExperiment(s, actor, experiment('another')),
  getExperiment: (actor) => services.getExperiment(s, actor, ours.experiment),
  loadOutcome: (actor) => services.loadOutcome(s, actor, ours.experiment),
  getExperimentTable: (actor) => services.getExperimentTable(s, actor, ours.experiment),
  getExperimentCurves: (actor) => services.getExperimentCurves(s, actor, ours.experiment),
  getExperimentFrontier: (actor) => services.getExperimentFrontier(s, actor, ours.experiment),
  getExperimentVerdict: (actor) => services.getExperimentVerdict(s, actor, ours.experiment),
  getExperimentReport: (actor) => services.getExperimentReport(s, actor, ours.experiment),
  growExperiment: (actor) => services.growExperiment(s, actor, ours.experiment, { seeds: [9] }),
  cloneExperiment: (actor) => services.cloneExperiment(s, actor, ours.experiment, {}),
  pauseExperiment: (actor) => services.pauseExperiment(s, actor, ours.experiment),
  resumeExperiment: (actor) => services.resumeExperiment(s, actor, ours.experiment),
  cancelExperiment: (actor) => services.cancelExperiment(s, actor, ours.experiment),
  deleteModel: (actor) => services.deleteModel(s, actor, ours.base),
  cancelUpload: (actor) => services.cancelUpload(s, actor, ours.upload),
  deleteFile: (actor) => services.deleteFile(s, actor, ours.file),
  pauseRun: (actor) => services.pauseRun(s, actor, ours.run),
  resumeRun: (actor) => services.resumeRun(s, actor, ours.run),
  cancelRun: (actor) => services.cancelRun(s, actor, ours.run),
  verifyRun: (actor) => services.verifyRun(s, actor, ours.run),
  deleteRun: (actor) => services.deleteRun(s, actor, ours.run),
  restoreRun: (actor) => services.restoreRun(s, actor, ours.run),
  getWebhook: (actor) => services.getWebhook(s, actor, ours.webhook),
  updateWebhook: (actor) => services.updateWebhook(s, actor, ours.webhook, {}, { allowsPrivate: false }),
  rotateWebhook: (actor) => services.rotateWebhook(s, actor, ours.webhook, 0),
  testWebhook: (actor) => services.testWebhook(s, actor, ours.webhook, { allowsPrivate: false }),
  listDeliveries: (actor) => services.listDeliveries(s, actor, ours.webhook, { limit: 10 }),
  replayDelivery: (actor) => services.replayDelivery(s, actor, ours.webhook, ours.delivery),
  deleteWebhook: (actor) => services.deleteWebhook(s, actor, ours.webhook),
  revokeApiKey: (actor) => services.revokeApiKey(s, actor, ours.key),
};

/** Verbs that list what the caller has. */
const LISTS: Record<string, Call> = {
  listFiles: (actor) => services.listFiles(s, actor, { limit: 100, order: 'desc' }),
  listRuns: (actor) => services.listRuns(s, actor, { limit: 100 }),
  searchRuns: (actor) => services.searchRuns(s, actor, { limit: 100, sort: '-created', count: true, q: ours.run }),
  listExperiments: (actor) => services.listExperiments(s, actor, { limit: 100 }),
  listModels: (actor) => services.listModels(s, actor),
  listAdapters: (actor) => services.listAdapters(s, actor),
  withPlaces: async (actor) => services.withPlaces(s, actor, (await services.listModels(s, actor)).data),
  listEvaluationTasks: (actor) => services.listEvaluationTasks(s, actor, { limit: 100 }),
  listAnalyses: (actor) => services.listAnalyses(s, actor, { limit: 100 }),
  listWebhooks: (actor) => services.listWebhooks(s, actor),
  listWorkers: (actor) => services.listWorkers(s, actor),
  listPools: (actor) => services.listPools(s, actor),
  listQueue: (actor) => services.listQueue(s, actor, { limit: 100 }),
};

/** Verbs that only make or end something in the caller's own project. */
const MAKERS = [
  'createFile',
  'createBase',
  'downloadBase',
  'createAdapter',
  'createBaseFromDir',
  'createLoginLink',
  'createUpload',
  'endSessions',
  'createWebhook',
];

/** Verbs about workers, which are shared by all projects. */
const SHARED = ['cordonWorker', 'uncordonWorker', 'drainWorker'];

/** Exported verbs whose second parameter is the caller, by the source of their files. */
async function verbsOfACaller(): Promise<string[]> {
  const index = await readFile(new URL('../../src/index.ts', import.meta.url), 'utf8');
  const sources = [...index.matchAll(/from '\.\/(.+)\.js'/g)].map(([, path]) => `../../src/${path}.ts`);
  const texts = await Promise.all(sources.map((path) => readFile(new URL(path, import.meta.url), 'utf8')));
  const verbs = texts.flatMap((text) =>
    [...text.matchAll(/export (?:async )?function (\w+)\(\s*s: Services,\s*actor: Actor/g)].map(
      ([, name]) => name ?? '',
    ),
  );
  return verbs.filter((name) => name in services).sort();
}

test('every exported verb that takes a caller is in one of the tables below', async () => {
  const known = [...Object.keys(BY_ID), ...Object.keys(LISTS), ...MAKERS, ...SHARED];
  const verbs = await verbsOfACaller();
  expect(verbs.length).toBeGreaterThan(15);
  expect(verbs.filter((name) => !known.includes(name))).toEqual([]);
});

describe('an id of another project', () => {
  test.each(Object.entries(BY_ID))('%s does not find it', async (_name, call) => {
    await expect(call(stranger)).rejects.toMatchObject({ code: 'not_found', status: 404 });
  });

  test.each(Object.entries(BY_ID))('%s finds it for its owner', async (_name, call) => {
    const code = await call(owner).then(
      () => 'done',
      (error: { code?: string }) => error.code,
    );
    // A queued run has no adapter yet, and a file that a run needs is not deleted: both were found.
    expect(['done', 'not_ready', 'conflict']).toContain(code);
  });

  test('is refused in the same words as an id that does not exist', async () => {
    const refusal = (id: string) =>
      services.getFile(s, stranger, id).catch((error: Error) => error.message.replace(id, 'ID'));
    expect(await refusal(ours.file)).toBe(await refusal(`file-${'0'.repeat(24)}`));
  });
});

describe('a list', () => {
  test.each(Object.entries(LISTS))('%s names nothing of another project', async (_name, call) => {
    const text = JSON.stringify(await call(stranger));
    for (const id of [
      ours.file,
      ours.run,
      ours.evaluation,
      ours.analysis,
      ours.webhook,
      ours.tuned,
      ours.key,
      ours.adapter,
      owner.projectId,
    ])
      expect(text).not.toContain(id);
  });

  test('does not go on from an item of another project', async () => {
    const refused = { code: 'invalid_value', param: 'after' };
    const { file, run } = ours;
    await expect(services.listFiles(s, stranger, { limit: 1, order: 'asc', after: file })).rejects.toMatchObject(
      refused,
    );
    await expect(services.listRuns(s, stranger, { limit: 1, after: run })).rejects.toMatchObject(refused);
    await expect(services.listQueue(s, stranger, { limit: 1, after: run })).rejects.toMatchObject(refused);
    await expect(services.listEvaluationTasks(s, stranger, { limit: 1, after: ours.evaluation })).rejects.toMatchObject(
      refused,
    );
    await expect(services.listAnalyses(s, stranger, { limit: 1, after: ours.analysis })).rejects.toMatchObject(refused);
    const search = { limit: 1, after: run, sort: 'name', count: false } as const;
    await expect(services.searchRuns(s, stranger, search)).rejects.toMatchObject(refused);
  });
});

test('two projects have a base and a file of the same name without seeing each other', async () => {
  const upload = await uploadOf(s, tinyFiles());
  const theirs = await services.createBase(s, stranger, { name: ours.base, upload });
  const mine = await services.getModel(s, owner, ours.base);
  expect(theirs.owned_by).toBe(stranger.projectId);
  expect(mine.owned_by).toBe(owner.projectId);
});
