import {
  cancelEvaluation,
  compareEvaluations,
  createEvaluation,
  getEvaluation,
  listEvaluationEvents,
  listEvaluationItems,
  listEvaluationTasks,
} from '@moraine/services';
import type { Handlers } from './bind.js';
import { repeatableOf } from './repeatable.js';
import { streamEvaluation } from './stream.js';

export const evaluationHandlers: Handlers<
  | 'createEvaluation'
  | 'listEvaluationTasks'
  | 'getEvaluation'
  | 'cancelEvaluation'
  | 'listEvaluationItems'
  | 'streamEvaluation'
  | 'listEvaluationEvents'
  | 'compareEvaluations'
> = {
  createEvaluation: ({ s, actor, body, request }) => createEvaluation(s, actor, body, repeatableOf(request)),
  listEvaluationTasks: ({ s, actor, query }) => listEvaluationTasks(s, actor, query),
  getEvaluation: ({ s, actor, params }) => getEvaluation(s, actor, params.id),
  cancelEvaluation: ({ s, actor, params }) => cancelEvaluation(s, actor, params.id),
  listEvaluationItems: ({ s, actor, params, query }) => listEvaluationItems(s, actor, params.id, query),
  streamEvaluation,
  listEvaluationEvents: ({ s, actor, params, query }) => listEvaluationEvents(s, actor, params.id, query),
  compareEvaluations: ({ s, actor, params, query }) => compareEvaluations(s, actor, params.id, query),
};
