import { randomInt } from 'node:crypto';
import {
  type Advice,
  AppError,
  CreateRunRequest,
  evaluationFilesOf,
  newId,
  parse,
  type RunConfig,
  type RunObject,
} from '@moraine/contract';
import { parseModelConfig, resolveConfig } from '@moraine/contract/plan';
import type { z } from 'zod';
import type { Actor, Services } from '../ground/context.js';
import { Prisma } from '../ground/db.js';
import { findRepeated, type Repeatable } from '../ground/find-repeated.js';
import type { BaseModel, FileModel } from '../ground/generated/models.js';
import { notify } from '../ground/publish.js';
import { requestHash } from '../ground/request-hash.js';
import { queryableOf } from '../ground/transaction.js';
import { requireBase } from '../library/require-base.js';
import { waitForFile } from '../library/wait-for-file.js';
import { offerTask } from '../work/offer-task.js';
import { eventMessage, insertEvent } from '../work/record-event.js';
import { adviceFor } from './advice.js';
import { getRun } from './get-run.js';
import { runFinder } from './run-finder.js';
import { toRunObject } from './to-run-object.js';
import { trainKind } from './train-kind.js';

const SEED_END = 2 ** 31;

/** A request whose names are all resolved. */
interface Prepared {
  request: z.output<typeof CreateRunRequest>;
  base: BaseModel;
  files: FileModel[];
  config: RunConfig;
}

/**
 * Queues a run. Everything that can be wrong with a request is said here, before anything is stored; the row then holds the whole
 * resolved configuration. With `dry_run` the answer shows that configuration and nothing is stored. The same request sent again by a
 * client's retry, or under the same idempotency key, answers the first run.
 */
export async function createRun(
  s: Services,
  actor: Actor,
  body: unknown,
  repeatable: Repeatable = {},
): Promise<RunObject> {
  const prepared = await prepare(s, actor, body);
  const rows = toRows(actor, prepared, body, repeatable);
  if (prepared.request.dry_run)
    return dryRun(rows, prepared, await adviceFor(s, rows.task.pool, prepared.config, prepared.base));
  const { task, run } = rows;

  const created = await s.db.$transaction(async (tx) => {
    const repeated = await findRepeated(tx, actor, run.requestHash, repeatable, runFinder(tx, actor, run.requestHash));
    if (repeated) return { runId: repeated, event: null };
    await holdFiles(tx, prepared.files);
    await tx.task.create({ data: task });
    await tx.run.create({ data: run });
    const of = { projectId: actor.projectId, taskId: run.id, attempt: 0 };
    const message = `Created fine-tuning job: ${run.id}`;
    return { runId: run.id, event: await insertEvent(queryableOf(tx), of, { level: 'info', message }) };
  });
  if (created.event) {
    await offerTask(s, task);
    await notify(s, run.id, [eventMessage(created.event)]);
  }
  return getRun(s, actor, created.runId);
}

async function prepare(s: Services, actor: Actor, body: unknown): Promise<Prepared> {
  const request = parse(CreateRunRequest, body);
  const base = await requireBase(s, actor, request.model);
  const trainingFile = await waitForFile(s, actor, request.training_file, 'training_file');
  const others = [
    ...(request.validation_file ? [[request.validation_file, 'validation_file'] as const] : []),
    ...evaluationFilesOf(request).map(({ file_id }, index) => [file_id, `evaluation.files[${index}]`] as const),
  ];
  const files = [trainingFile];
  for (const [id, param] of others) files.push(await waitForFile(s, actor, id, param));
  const config = resolveConfig({
    request,
    baseName: base.name,
    base: parseModelConfig(base.config),
    rows: trainingFile.rows ?? 0,
    seed: request.seed ?? randomInt(SEED_END),
    templateDate: new Date().toISOString().slice(0, 10),
  });
  return { request, base, files, config };
}

/** The task and the run beside it, under one id. */
function toRows(actor: Actor, { request, base, config }: Prepared, body: unknown, { idempotencyKey }: Repeatable) {
  const common = { id: newId('run'), projectId: actor.projectId };
  const task = {
    ...common,
    kind: trainKind.name,
    submission: 1,
    status: 'queued',
    pool: request.pool ?? 'default',
    priority: request.priority ?? 50,
    maxAttempts: request.max_attempts ?? 10,
  } satisfies Prisma.TaskUncheckedCreateInput;
  const run = {
    ...common,
    keyId: actor.keyId,
    baseId: base.id,
    suffix: request.suffix ?? null,
    metadata: request.metadata ?? {},
    request: body as Prisma.InputJsonObject,
    requestHash: requestHash(body),
    idempotencyKey: idempotencyKey ?? null,
    config: config as unknown as Prisma.InputJsonObject,
    seed: config.seed,
    steps: config.steps,
    trainingFileId: request.training_file,
    validationFileId: request.validation_file ?? null,
  } satisfies Prisma.RunUncheckedCreateInput;
  return { task, run };
}

/** Locks the files of the run until it is stored: one that is being deleted now is either gone before, or kept for it. */
async function holdFiles(tx: Prisma.TransactionClient, files: readonly FileModel[]): Promise<void> {
  const ids = files.map((file) => file.id);
  const held = await tx.$queryRaw<{ id: string }[]>`
    SELECT id FROM files WHERE id IN (${Prisma.join(ids)}) AND deleted_at IS NULL ORDER BY id FOR SHARE`;
  const gone = ids.find((id) => !held.some((file) => file.id === id));
  if (gone) throw new AppError('not_found', `File '${gone}' was deleted just now.`, { hint: 'Upload it again.' });
}

/** What the run would be. It has no id that anything could be asked about. */
function dryRun({ task, run }: ReturnType<typeof toRows>, { base }: Prepared, advice: Advice[]): RunObject {
  const now = new Date();
  const reason = {
    code: 'dry_run',
    message: 'Everything was checked; nothing was queued.',
    since: Math.floor(now.getTime() / 1_000),
  };
  const id = 'ftjob-dry-run';
  const dry = {
    ...run,
    id,
    config: run.config as Prisma.JsonObject,
    request: run.request as Prisma.JsonObject,
    step: 0,
    trainedTokens: 0n,
    tokensPerSecond: null,
    trainLoss: null,
    pace: null,
    resultFileId: null,
    fineTunedModel: null,
    base: { name: base.name },
    adapters: [],
    task: {
      ...task,
      id,
      status: 'validating_files',
      state: null,
      stateReason: null,
      attempt: 0,
      errorCode: null,
      errorMessage: null,
      errorParam: null,
      createdAt: now,
      queuedAt: now,
      startedAt: null,
      finishedAt: null,
      deletedAt: null,
      attempts: [],
    },
  };
  return { ...toRunObject(dry, reason), advice };
}
