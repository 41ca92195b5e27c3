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
import type { Call, Handlers } from './bind.js';
import { sendResult } from './send-result.js';

type Results = 'getExperimentTable' | 'getExperimentCurves' | 'getExperimentFrontier' | 'getExperimentReport';

/** A result in the form that is asked for. */
const sent = <R extends Parameters<typeof renderResult>[0]>({ request, reply, query }: Call<Results>, result: R) =>
  sendResult(request, reply, query.format, result, renderResult);

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
  getExperimentTable: async (call) =>
    sent(call, await getExperimentTable(call.s, call.actor, call.params.id, call.query)),
  getExperimentCurves: async (call) => sent(call, await getExperimentCurves(call.s, call.actor, call.params.id)),
  getExperimentFrontier: async (call) =>
    sent(call, await getExperimentFrontier(call.s, call.actor, call.params.id, call.query)),
  getExperimentReport: async (call) =>
    sent(call, await getExperimentReport(call.s, call.actor, call.params.id, call.query)),
  getExperimentVerdict: ({ s, actor, params, query }) => getExperimentVerdict(s, actor, params.id, query),
  growExperiment: ({ s, actor, params, body }) => growExperiment(s, actor, params.id, body),
  pauseExperiment: ({ s, actor, params }) => pauseExperiment(s, actor, params.id),
  resumeExperiment: ({ s, actor, params }) => resumeExperiment(s, actor, params.id),
  cancelExperiment: ({ s, actor, params }) => cancelExperiment(s, actor, params.id),
  cloneExperiment: ({ s, actor, params, body }) => cloneExperiment(s, actor, params.id, body),
};
