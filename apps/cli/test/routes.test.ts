import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { ROUTES, type RouteName } from '@moraine/contract';
import { beforeAll, describe, expect, test } from 'vitest';
import { type Described, describeCommands } from '../src/catalogue.js';

/** The command that calls each route, with its verb; a new route is given one here, or a reason why it has none. */
const VERBS: Record<RouteName, string | { none: string }> = {
  createFile: 'files upload',
  listFiles: 'files ls',
  getFile: 'files show',
  getFileContent: 'files download',
  getFileValidation: 'files validation',
  splitFile: 'files split',
  previewFile: 'files preview',
  deleteFile: 'files delete',
  createUpload: 'files upload',
  addUploadPart: 'files upload',
  completeUpload: 'files upload',
  cancelUpload: { none: 'an upload that is not gone on with expires after an hour' },
  createRun: 'runs create',
  estimateRun: 'estimate',
  listRuns: 'runs ls',
  getRun: 'runs show',
  cancelRun: 'runs cancel',
  pauseRun: 'runs pause',
  resumeRun: 'runs resume',
  listRunEvents: 'runs events',
  listRunCheckpoints: 'runs checkpoints',
  listModels: 'models ls',
  getModel: 'models show',
  createChatCompletion: 'chat',
  createCompletion: { none: 'raw prompts are for programs' },
  listAdapters: 'adapters list',
  getAdapter: 'adapters show',
  pinAdapter: 'adapters pin',
  unpinAdapter: 'adapters unpin',
  unloadAdapter: 'adapters unload',
  createBase: 'models add',
  deleteModel: 'models rm',
  createAdapter: 'models add',
  searchRuns: 'runs ls',
  getRunMetrics: 'runs metrics',
  streamRun: 'runs watch',
  streamRuns: { none: 'the page of all runs follows them by it; `runs watch` follows one' },
  getRunLogs: 'runs logs',
  getRunAdapter: 'runs download',
  verifyRun: 'runs verify',
  deleteRun: 'runs rm',
  restoreRun: 'runs restore',
  listRunEvaluations: 'runs evaluations',
  createEvaluation: 'evaluations create',
  listEvaluationTasks: 'evaluations ls',
  getEvaluation: 'evaluations show',
  cancelEvaluation: 'evaluations cancel',
  listEvaluationItems: 'evaluations items',
  streamEvaluation: 'evaluations watch',
  listEvaluationEvents: 'evaluations events',
  compareEvaluations: 'evaluations compare',
  createAnalysis: 'analyses create',
  listAnalyses: 'analyses ls',
  getAnalysis: 'analyses show',
  cancelAnalysis: 'analyses cancel',
  listAnalysisRows: 'analyses rows',
  getRunAnalyses: 'analyses course',
  listAnalysisEvents: 'analyses events',
  createExperiment: 'experiments run',
  listExperiments: 'experiments ls',
  getExperiment: 'experiments show',
  getExperimentTable: 'experiments table',
  getExperimentCurves: 'experiments curves',
  getExperimentFrontier: 'experiments frontier',
  getExperimentReport: 'experiments report',
  getExperimentVerdict: 'experiments verdict',
  growExperiment: 'experiments grow',
  pauseExperiment: 'experiments pause',
  resumeExperiment: 'experiments resume',
  cancelExperiment: 'experiments cancel',
  cloneExperiment: 'experiments clone',
  listWorkers: 'workers ls',
  cordonWorker: 'workers cordon',
  uncordonWorker: 'workers uncordon',
  drainWorker: 'workers drain',
  listPools: 'pools ls',
  listQueue: 'queue ls',
  createWebhook: 'webhooks create',
  listWebhooks: 'webhooks ls',
  getWebhook: 'webhooks show',
  updateWebhook: 'webhooks update',
  deleteWebhook: 'webhooks delete',
  rotateWebhook: 'webhooks rotate',
  testWebhook: 'webhooks test',
  listWebhookDeliveries: 'webhooks deliveries',
  replayWebhookDelivery: 'webhooks replay',
  createLoginLink: 'login',
  signOut: 'logout',
};

const sources = path.join(import.meta.dirname, '../src');
const text = readdirSync(sources, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => readFileSync(path.join(sources, name), 'utf8'))
  .join('\n');
const names = Object.keys(ROUTES) as RouteName[];

describe('every route of the API', () => {
  let commands: Described[];
  beforeAll(async () => {
    commands = await describeCommands();
  });

  test.each(names)('%s is called by its verb, which takes --json, or has a reason to have none', (route) => {
    const verb = VERBS[route];
    if (typeof verb !== 'string') {
      expect(verb.none.length).toBeGreaterThan(20);
      return;
    }
    const [name, action] = verb.split(' ');
    const command = commands.find((one) => one.name === name);
    const forms = command?.forms.map((form) => form.split(' ')[0]) ?? [];
    if (action !== undefined) expect(forms).toContain(action);
    expect(command?.options.map((option) => option.name)).toContain('json');
    expect(text).toContain(`'${route}'`);
  });

  test('is listed here, and no other', () => {
    expect(Object.keys(VERBS).sort()).toEqual(names.toSorted());
  });

  test('has examples in the help of its command, where that has several verbs', () => {
    const verbs = new Set(Object.values(VERBS).flatMap((verb) => (typeof verb === 'string' ? [verb.split(' ')] : [])));
    for (const [name, action] of verbs) {
      if (action === undefined) continue;
      expect(commands.find((one) => one.name === name)?.examples?.length ?? 0, name).toBeGreaterThan(0);
    }
  });
});
