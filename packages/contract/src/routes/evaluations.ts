import { z } from 'zod';
import { CreateEvaluationRequest } from '../evaluation-request.js';
import { EvaluationComparison, EvaluationTaskObject, EventObject, listOf } from '../objects/index.js';
import { RunStatus } from '../states.js';
import { EvaluationItem } from '../suites/results.js';
import { after, id, inQuery, limit, table } from './route.js';

export const EVALUATION_ROUTES = table({
  createEvaluation: {
    method: 'POST',
    path: '/v1/evaluations',
    tag: 'Evaluations',
    summary: 'Queue an evaluation: a model is asked the items of a suite',
    body: CreateEvaluationRequest,
    response: EvaluationTaskObject,
  },
  listEvaluationTasks: {
    method: 'GET',
    path: '/v1/evaluations',
    tag: 'Evaluations',
    summary: 'Evaluations, newest first',
    query: z.strictObject({
      model: z.string().optional().describe('Of this model only, as it was named.'),
      run: z.string().optional().describe('Those that this run asked for only.'),
      suite: z.string().optional().describe('By this suite only.'),
      status: RunStatus.optional(),
      limit: limit(20, 100),
      after,
    }),
    response: listOf(EvaluationTaskObject),
  },
  getEvaluation: {
    method: 'GET',
    path: '/v1/evaluations/:id',
    tag: 'Evaluations',
    summary: 'One evaluation',
    params: id,
    response: EvaluationTaskObject,
  },
  cancelEvaluation: {
    method: 'POST',
    path: '/v1/evaluations/:id/cancel',
    tag: 'Evaluations',
    summary: 'Cancel an evaluation; the items that are scored stay',
    params: id,
    response: EvaluationTaskObject,
  },
  listEvaluationItems: {
    method: 'GET',
    path: '/v1/evaluations/:id/items',
    tag: 'Evaluations',
    summary: 'What the model gave for each item, in their order',
    params: id,
    query: z.strictObject({
      verdict: z.enum(['right', 'wrong']).optional().describe('Items with this verdict only.'),
      limit: limit(100, 1000),
      after: inQuery(z.int().min(0)).optional().describe('`index` of the last item of the page before.'),
      include: z
        .literal('samples')
        .optional()
        .describe('All answers that were drawn for each item too; a page has at most 100 items then.'),
    }),
    response: z.object({ object: z.literal('list'), data: z.array(EvaluationItem), has_more: z.boolean() }),
  },
  streamEvaluation: {
    method: 'GET',
    path: '/v1/evaluations/:id/stream',
    tag: 'Evaluations',
    summary: 'An evaluation and its items as they are scored (SSE, Last-Event-ID)',
    params: id,
    query: z.strictObject({
      include: z
        .enum(['items', 'samples'])
        .optional()
        .describe('`items`: each item as it is scored; `samples`: with every answer that was drawn for it too.'),
      last_event_id: inQuery(z.int().min(0))
        .optional()
        .describe('Items that the caller has, in place of the header Last-Event-ID, which counts more.'),
    }),
    produces: 'text/event-stream',
  },
  listEvaluationEvents: {
    method: 'GET',
    path: '/v1/evaluations/:id/events',
    tag: 'Evaluations',
    summary: 'Events of an evaluation, newest first',
    params: id,
    query: z.strictObject({ limit: limit(20, 100), after }),
    response: listOf(EventObject),
  },
  compareEvaluations: {
    method: 'GET',
    path: '/v1/evaluations/:id/compare',
    tag: 'Evaluations',
    summary: 'The difference to another evaluation of the same items, paired item by item',
    params: id,
    query: z.strictObject({
      with: z.string().describe('Id of the evaluation that is the baseline.'),
      metric: z.string().optional().describe('A figure that both have. Default: what the suite is known by.'),
      limit: limit(20, 1000).describe('Items to show, those that differ most.'),
    }),
    response: EvaluationComparison,
  },
});
