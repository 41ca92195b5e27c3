import { z } from 'zod';
import { EXPORT_FORMATS, LOW_RANK } from '../methods/method.js';
import {
  DeletedRun,
  EvaluationObject,
  LogLine,
  listOf,
  RunMetrics,
  RunObject,
  RunOrder,
  RunSummary,
} from '../objects/index.js';
import { RunStatus } from '../states.js';
import { after, id, inQuery, limit, metadata, table } from './route.js';

export const RUN_ROUTES = table({
  searchRuns: {
    method: 'GET',
    path: '/v1/runs',
    tag: 'Runs',
    summary: 'Search and sort all runs; a row each, without their configurations',
    query: z.strictObject({
      q: z
        .string()
        .max(1000)
        .optional()
        .describe(
          'Terms that must all hold: a word in the name, the id, the base, the method, the trained model or the metadata; `field:part` of name, id, base, method, status, state or pool; `lr<1e-3`, `rank>=8`, also loss, step, steps, parameters, tokens, priority; `key=value` of the metadata. Quotes keep words together: `name:"my run"`.',
        ),
      status: RunStatus.optional(),
      metadata: metadata.optional(),
      experiment: z.string().max(64).optional().describe('Id of an experiment: its runs only.'),
      ids: z.string().max(8000).optional().describe('Comma-separated ids: these runs only, at most 100.'),
      sort: RunOrder.default('-created').describe('Newest first by default. Runs that lack the value come last.'),
      deleted: z
        .enum(['true', 'false'])
        .default('false')
        .describe('`true`: deleted runs that can still be restored, in place of the others.'),
      count: z.enum(['true', 'false']).default('false').describe('Whether `total_count` says how many runs match.'),
      limit: limit(50, 200),
      after,
    }),
    response: listOf(RunSummary).extend({ total_count: z.int().nullable() }),
  },
  deleteRun: {
    method: 'DELETE',
    path: '/v1/runs/:id',
    tag: 'Runs',
    summary: 'Delete a run that has ended, and all that is of it; it can be restored for a while',
    params: id,
    response: DeletedRun,
  },
  restoreRun: {
    method: 'POST',
    path: '/v1/runs/:id/restore',
    tag: 'Runs',
    summary: 'Take the deletion of a run back',
    params: id,
    response: RunObject,
  },
  getRunMetrics: {
    method: 'GET',
    path: '/v1/runs/:id/metrics',
    tag: 'Runs',
    summary: 'Metrics of a run, at most `buckets` points a series; each bucket keeps mean, min, max and last',
    params: id,
    query: z.strictObject({
      names: z.string().optional().describe('Comma-separated metric names; all when absent.'),
      from: z.coerce.number().int().min(0).optional(),
      to: z.coerce.number().int().min(0).optional(),
      buckets: limit(1000, 20000),
    }),
    response: RunMetrics,
  },
  streamRun: {
    method: 'GET',
    path: '/v1/runs/:id/stream',
    tag: 'Runs',
    summary: 'Live metrics, events, status and logs (SSE, Last-Event-ID)',
    params: id,
    query: z.strictObject({
      last_event_id: z
        .string()
        .optional()
        .describe('Where to go on, in place of the header Last-Event-ID, which counts more.'),
    }),
    produces: 'text/event-stream',
  },
  streamRuns: {
    method: 'GET',
    path: '/v1/stream',
    tag: 'Runs',
    summary: 'The live messages of several runs as one stream (SSE)',
    query: z.strictObject({
      runs: z
        .string()
        .describe(
          'Comma-separated, at most 100: `<run>` for all that the buffer holds, or `<run>@<id of the last message>` for what came after it. Each message has `<run>@<id>` as its id.',
        ),
    }),
    produces: 'text/event-stream',
  },
  getRunLogs: {
    method: 'GET',
    path: '/v1/runs/:id/logs',
    tag: 'Runs',
    summary: 'Log lines of a run, oldest first',
    params: id,
    query: z.strictObject({
      attempt: z.coerce.number().int().min(1).optional(),
      after: z.coerce.number().int().min(0).default(0),
      limit: limit(1000, 10000),
    }),
    response: z.object({ object: z.literal('list'), data: z.array(LogLine), has_more: z.boolean() }),
  },
  getRunAdapter: {
    method: 'GET',
    path: '/v1/runs/:id/adapter',
    tag: 'Runs',
    summary: `The trained adapter as a tar: its own format, \`peft\` (exactly equal, as PEFT reads it), \`merged\` (a whole model), \`${LOW_RANK}\` (of a rank, approximate) or \`gguf\` (the merged model in float16 for llama.cpp)`,
    params: id,
    query: z.strictObject({
      format: z.enum(EXPORT_FORMATS).default('native'),
      lambda: inQuery(z.number().min(0).max(1))
        .default(1)
        .describe('Share of the update that is applied: 1 all of it, 0 gives the base.'),
      rank: inQuery(z.number().int().min(1).max(1024)).optional().describe(`Format \`${LOW_RANK}\`: its rank.`),
      allow_error: inQuery(z.number().min(0).max(1))
        .optional()
        .describe(
          `Format \`${LOW_RANK}\`: share of the update that it may leave out, ‖ΔW − B·A‖ / ‖ΔW‖. Default 0.05.`,
        ),
    }),
    produces: 'application/x-tar',
  },
  verifyRun: {
    method: 'POST',
    path: '/v1/runs/:id/verify',
    tag: 'Runs',
    summary:
      'Go on from a checkpoint of an ended run once more and compare to the bit; `resume_check` says what came of it',
    params: id,
    response: RunObject,
  },
  listRunEvaluations: {
    method: 'GET',
    path: '/v1/runs/:id/evaluations',
    tag: 'Runs',
    summary: 'Evaluations of a run, by file and step',
    params: id,
    response: listOf(EvaluationObject),
  },
});
