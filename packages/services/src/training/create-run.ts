import { randomInt } from 'node:crypto';
import { AppError, CreateRunRequest, newId, parse, type RunConfig, type RunObject } from '@moraine/contract';
import { parseLlamaConfig, resolveConfig } from '@moraine/contract/plan';
import type { z } from 'zod';
import type { Actor, Services } from '../ground/context.js';
import { Prisma } from '../ground/db.js';
import type { BaseModel, FileModel } from '../ground/generated/models.js';
import { notify } from '../ground/publish.js';
import { plainSuffix } from '../library/fine-tuned-model-name.js';
import { requireBase } from '../library/require-base.js';
import { waitForFile } from '../library/wait-for-file.js';
import { insertEvent } from '../work/insert-event.js';
import { offerRun } from '../work/offer-run.js';
import { findRepeated, type Repeatable } from './find-repeated.js';
import { getRun } from './get-run.js';
import { requestHash } from './request-hash.js';
import { toRunObject } from './to-run-object.js';

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
  const row = toRow(actor, prepared, body, repeatable);
  if (prepared.request.dry_run) return dryRun(row, prepared);

  const created = await s.db.$transaction(async (tx) => {
    const repeated = await findRepeated(tx, actor, row.requestHash, repeatable);
    if (repeated) return { runId: repeated, event: null };
    await holdFiles(tx, prepared.files);
    await tx.run.create({ data: row });
    const event = {
      projectId: actor.projectId,
      runId: row.id,
      attempt: 0,
      level: 'info',
      message: `Created fine-tuning job: ${row.id}`,
    } as const;
    return { runId: row.id, event: await insertEvent(tx, event) };
  });
  if (created.event) {
    await offerRun(s, row);
    await notify(s, row.id, [{ event: 'event', data: created.event }]);
  }
  return getRun(s, actor, created.runId);
}

async function prepare(s: Services, actor: Actor, body: unknown): Promise<Prepared> {
  const request = parse(CreateRunRequest, body);
  const base = await requireBase(s, actor, request.model);
  const trainingFile = await waitForFile(s, actor, request.training_file, 'training_file');
  const others = [
    ...(request.validation_file ? [[request.validation_file, 'validation_file'] as const] : []),
    ...(request.evaluation?.files ?? []).map((id, index) => [id, `evaluation.files[${index}]`] as const),
  ];
  const files = [trainingFile];
  for (const [id, param] of others) files.push(await waitForFile(s, actor, id, param));
  const config = resolveConfig({
    request,
    baseName: base.name,
    base: parseLlamaConfig(base.config),
    rows: trainingFile.rows ?? 0,
    seed: request.seed ?? randomInt(SEED_END),
  });
  return { request, base, files, config };
}

function toRow(actor: Actor, { request, base, config }: Prepared, body: unknown, { idempotencyKey }: Repeatable) {
  return {
    id: newId('run'),
    projectId: actor.projectId,
    keyId: actor.keyId,
    baseId: base.id,
    submission: 1,
    status: 'queued',
    pool: request.pool ?? 'default',
    priority: request.priority ?? 50,
    maxAttempts: request.max_attempts ?? 10,
    suffix: request.suffix ? plainSuffix(request.suffix) : null,
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
function dryRun(row: ReturnType<typeof toRow>, { base }: Prepared): RunObject {
  const now = new Date();
  const reason = {
    code: 'dry_run',
    message: 'Everything was checked; nothing was queued.',
    since: Math.floor(now.getTime() / 1_000),
  };
  const run = {
    ...row,
    id: 'ftjob-dry-run',
    status: 'validating_files',
    state: null,
    stateReason: null,
    attempt: 0,
    step: 0,
    trainedTokens: 0n,
    tokensPerSecond: null,
    trainLoss: null,
    resultFileId: null,
    fineTunedModel: null,
    errorCode: null,
    errorMessage: null,
    errorParam: null,
    createdAt: now,
    queuedAt: now,
    startedAt: null,
    finishedAt: null,
    deletedAt: null,
    base: { name: base.name },
    attempts: [],
    adapters: [],
  };
  return toRunObject(
    { ...run, config: run.config as Prisma.JsonObject, request: run.request as Prisma.JsonObject },
    reason,
  );
}
