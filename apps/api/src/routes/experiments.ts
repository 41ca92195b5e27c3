import { renderResult } from '@moraine/contract/experiments';
import {
  cancelExperiment,
  cloneExperiment,
  createExperiment,
  getExperiment,
  getExperimentCurves,
  getExperimentFrontier,
  getExperimentReport,
  getExperimentTable,
  getExperimentVerdict,
  growExperiment,
  listExperiments,
  pauseExperiment,
  resumeExperiment,
} from '@moraine/services';
import type { Handlers } from './bind.js';
import { sendResult } from './send-result.js';

export const experimentHandlers: Handlers<
  | 'createExperiment'
  | 'listExperiments'
  | 'getExperiment'
  | 'getExperimentTable'
  | 'getExperimentCurves'
  | 'getExperimentFrontier'
  | 'getExperimentReport'
  | 'getExperimentVerdict'
  | 'growExperiment'
  | 'pauseExperiment'
  | 'resumeExperiment'
  | 'cancelExperiment'
  | 'cloneExperiment'
> = {
  createExperiment: ({ s, actor, body }) => createExperiment(s, actor, body),
  listExperiments: ({ s, actor, query }) => listExperiments(s, actor, query),
  getExperiment: ({ s, actor, params }) => getExperiment(s, actor, params.id),
  async getExperimentTable({ s, actor, params, query, request, reply }) {
    return sendResult(request, reply, query.format, await getExperimentTable(s, actor, params.id, query), renderResult);
  },
  async getExperimentCurves({ s, actor, params, query, request, reply }) {
    return sendResult(request, reply, query.format, await getExperimentCurves(s, actor, params.id), renderResult);
  },
  async getExperimentFrontier({ s, actor, params, query, request, reply }) {
    return sendResult(
      request,
      reply,
      query.format,
      await getExperimentFrontier(s, actor, params.id, query),
      renderResult,
    );
  },
  async getExperimentReport({ s, actor, params, query, request, reply }) {
    return sendResult(
      request,
      reply,
      query.format,
      await getExperimentReport(s, actor, params.id, query),
      renderResult,
    );
  },
  getExperimentVerdict: ({ s, actor, params, query }) => getExperimentVerdict(s, actor, params.id, query),
  growExperiment: ({ s, actor, params, body }) => growExperiment(s, actor, params.id, body),
  pauseExperiment: ({ s, actor, params }) => pauseExperiment(s, actor, params.id),
  resumeExperiment: ({ s, actor, params }) => resumeExperiment(s, actor, params.id),
  cancelExperiment: ({ s, actor, params }) => cancelExperiment(s, actor, params.id),
  cloneExperiment: ({ s, actor, params, body }) => cloneExperiment(s, actor, params.id, body),
};
