import { z } from 'zod';
import { Estimate } from './before-run.js';
import { FilePreview, FileValidation } from './file-reports.js';
import { EXPORT_FORMATS, LOW_RANK } from './methods/method.js';
import {
  CheckpointObject,
  DeletedFile,
  DeletedModel,
  DeletedWebhook,
  EvaluationObject,
  EventObject,
  FileObject,
  LogLine,
  listOf,
  ModelObject,
  RunMetrics,
  RunObject,
  RunOrder,
  RunSummary,
  UploadObject,
  UploadPartObject,
  WorkerObject,
} from './objects.js';
import { CreateRunRequest, Metadata } from './run-config.js';
import { RunStatus } from './states.js';
import { CompleteUploadRequest, CreateUploadRequest } from './uploads.js';
import { CreateWebhookRequest, UpdateWebhookRequest, WebhookDelivery, WebhookObject } from './webhooks.js';

/** Query strings are text: numbers are coerced there and nowhere else. */
const limit = (preset: number, most: number) => z.coerce.number().int().min(1).max(most).default(preset);
/** A number that an empty text is not. */
const inQuery = <T extends z.ZodType>(schema: T) =>
  z.preprocess((value) => (typeof value === 'string' && value.trim() !== '' ? Number(value) : value), schema);
const after = z.string().optional().describe('Id of the last item of the page before.');
const metadata = z
  .preprocess((value) => (value === 'null' || value === '' ? null : value), Metadata.nullable())
  .describe('`metadata[key]=value`: runs with these pairs; `metadata=null`: runs without any.');
const id = z.object({ id: z.string() });
const model = z.object({ model: z.string() });

/** The server downloads the base itself. */
export const DownloadBaseRequest = z
  .strictObject({
    name: z.string().describe('Letters, digits, dot, dash and underscore.'),
    source: z
      .string()
      .describe(
        '`hf:ORG/REPO` or `hf:ORG/REPO@REV`: a model of the hub that the operator has set with HF_ENDPOINT, and a branch, a tag or a commit of it; `main` by default.',
      ),
  })
  .meta({ id: 'DownloadBase' });

export interface Route {
  method: 'GET' | 'POST' | 'DELETE';
  path: string;
  tag: 'Fine-tuning' | 'Files' | 'Models' | 'Runs' | 'Workers' | 'Webhooks' | 'Access';
  summary: string;
  params?: z.ZodType;
  query?: z.ZodType;
  /** JSON body; multipart bodies say so in `consumes` and are parsed by their handler. */
  body?: z.ZodType;
  consumes?: 'multipart/form-data';
  /** What a route that takes a form takes as JSON in its place; parsed by the handler, too. */
  json?: z.ZodType;
  /** Absent where bytes or a stream come back; `produces` names their type. */
  response?: z.ZodType;
  produces?: string;
}

const table = <T extends Record<string, Route>>(routes: T): T => routes;

/** The HTTP surface as data: the server registers it, the client calls it, the OpenAPI document is made from it. */
export const ROUTES = table({
  createFile: {
    method: 'POST',
    path: '/v1/files',
    tag: 'Files',
    summary: 'Upload a JSONL file',
    consumes: 'multipart/form-data',
    response: FileObject,
  },
  listFiles: {
    method: 'GET',
    path: '/v1/files',
    tag: 'Files',
    summary: 'List files, newest first',
    query: z.strictObject({
      purpose: z.string().optional(),
      limit: limit(10000, 10000),
      order: z.enum(['asc', 'desc']).default('desc'),
      after,
    }),
    response: listOf(FileObject),
  },
  getFile: {
    method: 'GET',
    path: '/v1/files/:id',
    tag: 'Files',
    summary: 'One file',
    params: id,
    response: FileObject,
  },
  getFileContent: {
    method: 'GET',
    path: '/v1/files/:id/content',
    tag: 'Files',
    summary: 'The bytes of a file',
    params: id,
    produces: 'application/octet-stream',
  },
  getFileValidation: {
    method: 'GET',
    path: '/v1/files/:id/validation',
    tag: 'Files',
    summary: 'What is wrong with a file, up to 100 problems, and which rows it has twice',
    params: id,
    response: FileValidation,
  },
  previewFile: {
    method: 'GET',
    path: '/v1/files/:id/preview',
    tag: 'Files',
    summary: 'Rows of a file as a run reads them: tokens, what is learned, what is cut; and how long all rows are',
    params: id,
    query: z.strictObject({
      model: z.string().describe('The registered base whose tokenizer and chat template read the rows.'),
      after: z.coerce.number().int().min(0).default(0).describe('Rows behind this line.'),
      limit: limit(5, 20),
      max_seq_len: z.coerce.number().int().min(2).optional().describe('Default: the context of the base.'),
      over_length: z.enum(['truncate', 'drop', 'error']).default('truncate').describe('As in a run.'),
    }),
    response: FilePreview,
  },
  deleteFile: {
    method: 'DELETE',
    path: '/v1/files/:id',
    tag: 'Files',
    summary: 'Delete a file',
    params: id,
    response: DeletedFile,
  },

  createUpload: {
    method: 'POST',
    path: '/v1/uploads',
    tag: 'Files',
    summary: 'Begin a file that comes in parts; it expires after an hour',
    body: CreateUploadRequest,
    response: UploadObject,
  },
  addUploadPart: {
    method: 'POST',
    path: '/v1/uploads/:id/parts',
    tag: 'Files',
    summary: 'Send a part, at most 64 MiB; parts may come side by side and in any order',
    params: id,
    consumes: 'multipart/form-data',
    response: UploadPartObject,
  },
  completeUpload: {
    method: 'POST',
    path: '/v1/uploads/:id/complete',
    tag: 'Files',
    summary: 'Make the file of its parts, in the order in which they are named',
    params: id,
    body: CompleteUploadRequest,
    response: UploadObject,
  },
  cancelUpload: {
    method: 'POST',
    path: '/v1/uploads/:id/cancel',
    tag: 'Files',
    summary: 'Give an upload up; its parts are removed',
    params: id,
    response: UploadObject,
  },

  createRun: {
    method: 'POST',
    path: '/v1/fine_tuning/jobs',
    tag: 'Fine-tuning',
    summary: 'Queue a fine-tuning run',
    body: CreateRunRequest,
    response: RunObject,
  },
  estimateRun: {
    method: 'POST',
    path: '/v1/fine_tuning/estimate',
    tag: 'Fine-tuning',
    summary: 'Memory and time of a run before it starts; the body is that of a run, nothing is queued',
    body: CreateRunRequest,
    response: Estimate,
  },
  listRuns: {
    method: 'GET',
    path: '/v1/fine_tuning/jobs',
    tag: 'Fine-tuning',
    summary: 'List runs, newest first; filter with metadata[key]=value',
    query: z.strictObject({
      limit: limit(20, 100),
      after,
      status: RunStatus.optional(),
      metadata: metadata.optional(),
    }),
    response: listOf(RunObject),
  },
  getRun: {
    method: 'GET',
    path: '/v1/fine_tuning/jobs/:id',
    tag: 'Fine-tuning',
    summary: 'One run',
    params: id,
    response: RunObject,
  },
  cancelRun: {
    method: 'POST',
    path: '/v1/fine_tuning/jobs/:id/cancel',
    tag: 'Fine-tuning',
    summary: 'Cancel a run',
    params: id,
    response: RunObject,
  },
  pauseRun: {
    method: 'POST',
    path: '/v1/fine_tuning/jobs/:id/pause',
    tag: 'Fine-tuning',
    summary: 'Pause a run: a running one saves a checkpoint at its next step and stops, uncharged',
    params: id,
    response: RunObject,
  },
  resumeRun: {
    method: 'POST',
    path: '/v1/fine_tuning/jobs/:id/resume',
    tag: 'Fine-tuning',
    summary: 'Put a paused run back into the queue; it goes on from its last checkpoint, to the bit',
    params: id,
    response: RunObject,
  },
  listRunEvents: {
    method: 'GET',
    path: '/v1/fine_tuning/jobs/:id/events',
    tag: 'Fine-tuning',
    summary: 'Events of a run, newest first',
    params: id,
    query: z.strictObject({ limit: limit(20, 100), after }),
    response: listOf(EventObject),
  },
  listRunCheckpoints: {
    method: 'GET',
    path: '/v1/fine_tuning/jobs/:id/checkpoints',
    tag: 'Fine-tuning',
    summary: 'Checkpoints of a run, newest first',
    params: id,
    query: z.strictObject({ limit: limit(10, 100), after }),
    response: listOf(CheckpointObject),
  },

  listModels: {
    method: 'GET',
    path: '/v1/models',
    tag: 'Models',
    summary: 'Base models and fine-tuned models',
    response: listOf(ModelObject),
  },
  getModel: {
    method: 'GET',
    path: '/v1/models/:model',
    tag: 'Models',
    summary: 'One model',
    params: model,
    response: ModelObject,
  },
  createBase: {
    method: 'POST',
    path: '/v1/bases',
    tag: 'Models',
    summary:
      'Register a base model: field `name`, then each file of its Hugging Face folder as field `files`; or, as JSON, `name` and the `source` that the server downloads it from',
    consumes: 'multipart/form-data',
    json: DownloadBaseRequest,
    response: ModelObject,
  },
  deleteModel: {
    method: 'DELETE',
    path: '/v1/models/:model',
    tag: 'Models',
    summary: 'End the download of a base, or delete a base or a registered adapter that nothing was trained on',
    params: model,
    response: DeletedModel,
  },
  createAdapter: {
    method: 'POST',
    path: '/v1/adapters',
    tag: 'Models',
    summary:
      'Register an adapter for runs to start from: field `name`, field `model` with the base that it was trained on, then each file of its folder as field `files`',
    consumes: 'multipart/form-data',
    response: ModelObject,
  },

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
      ids: z.string().max(8000).optional().describe('Comma-separated ids: these runs only, at most 100.'),
      sort: RunOrder.default('-created').describe('Newest first by default. Runs that lack the value come last.'),
      count: z.enum(['true', 'false']).default('false').describe('Whether `total_count` says how many runs match.'),
      limit: limit(50, 200),
      after,
    }),
    response: listOf(RunSummary).extend({ total_count: z.int().nullable() }),
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

  listWorkers: {
    method: 'GET',
    path: '/v1/workers',
    tag: 'Workers',
    summary: 'Workers and what they do',
    response: listOf(WorkerObject),
  },

  createWebhook: {
    method: 'POST',
    path: '/v1/webhooks',
    tag: 'Webhooks',
    summary: 'Register an address that hears what becomes of runs; its signing secret is in this answer alone',
    body: CreateWebhookRequest,
    response: WebhookObject,
  },
  listWebhooks: {
    method: 'GET',
    path: '/v1/webhooks',
    tag: 'Webhooks',
    summary: 'Webhooks, newest first',
    response: listOf(WebhookObject),
  },
  getWebhook: {
    method: 'GET',
    path: '/v1/webhooks/:id',
    tag: 'Webhooks',
    summary: 'One webhook',
    params: id,
    response: WebhookObject,
  },
  updateWebhook: {
    method: 'POST',
    path: '/v1/webhooks/:id',
    tag: 'Webhooks',
    summary: 'Change a webhook',
    params: id,
    body: UpdateWebhookRequest,
    response: WebhookObject,
  },
  deleteWebhook: {
    method: 'DELETE',
    path: '/v1/webhooks/:id',
    tag: 'Webhooks',
    summary: 'Delete a webhook and its deliveries',
    params: id,
    response: DeletedWebhook,
  },
  rotateWebhook: {
    method: 'POST',
    path: '/v1/webhooks/:id/rotate',
    tag: 'Webhooks',
    summary: 'Give a webhook a new secret; deliveries are signed with both for a while',
    params: id,
    query: z.strictObject({
      overlap_seconds: inQuery(z.int().min(0).max(604_800))
        .default(86_400)
        .describe('How long deliveries are signed with the old secret too.'),
    }),
    response: WebhookObject,
  },
  testWebhook: {
    method: 'POST',
    path: '/v1/webhooks/:id/test',
    tag: 'Webhooks',
    summary: 'Send an event of type `webhook.test` now; the answer says what came of it',
    params: id,
    response: WebhookDelivery,
  },
  listWebhookDeliveries: {
    method: 'GET',
    path: '/v1/webhooks/:id/deliveries',
    tag: 'Webhooks',
    summary: 'What was and is to be sent to a webhook, newest first, with every attempt',
    params: id,
    query: z.strictObject({ limit: limit(20, 100), after, status: WebhookDelivery.shape.status.optional() }),
    response: listOf(WebhookDelivery),
  },
  replayWebhookDelivery: {
    method: 'POST',
    path: '/v1/webhooks/:id/deliveries/:delivery/replay',
    tag: 'Webhooks',
    summary: 'Send a delivery once more, under the id that it had',
    params: z.object({ id: z.string(), delivery: z.string() }),
    response: WebhookDelivery,
  },

  createLoginLink: {
    method: 'POST',
    path: '/v1/login_links',
    tag: 'Access',
    summary: 'A one-time link that opens the dashboard in a browser',
    response: z.object({ object: z.literal('login_link'), url: z.string(), expires_at: z.int() }),
  },
  signOut: {
    method: 'DELETE',
    path: '/v1/sessions',
    tag: 'Access',
    summary: 'Sign out: ends the session of this browser; with an API key, every browser session of its project',
    response: z.object({ object: z.literal('sign_out'), ended: z.int() }),
  },
});

export type RouteName = keyof typeof ROUTES;
