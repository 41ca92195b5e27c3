import { newId } from '@moraine/contract';
import { estimateDisk } from '@moraine/contract/plan';
import type { Actor } from '../ground/context.js';
import type { Prisma } from '../ground/db.js';
import type { Repeatable } from '../ground/find-repeated.js';
import { requestHash } from '../ground/request-hash.js';
import type { Prepared } from './prepare-run.js';
import { leastMemory } from './too-large.js';
import { trainKind } from './train-kind.js';

export type NewRows = ReturnType<typeof newRows>;

/** The task and the run beside it, under one id. */
export function newRows(
  actor: Actor,
  { request, base, start, config }: Prepared,
  body: unknown,
  { idempotencyKey }: Repeatable,
) {
  const common = { id: newId('run'), projectId: actor.projectId };
  const task = {
    ...common,
    kind: trainKind.name,
    submission: 1,
    status: 'queued',
    pool: request.pool ?? 'default',
    priority: request.priority ?? 50,
    maxAttempts: request.max_attempts ?? 10,
    diskBytes: BigInt(estimateDisk(config)),
    memoryBytes: BigInt(leastMemory(base, config).total_bytes),
  } satisfies Prisma.TaskUncheckedCreateInput;
  const run = {
    ...common,
    keyId: actor.keyId,
    baseId: base.id,
    startCheckpointId: start?.startCheckpointId ?? null,
    startAdapterId: start?.startAdapterId ?? null,
    suffix: request.suffix ?? null,
    metadata: request.metadata ?? {},
    request: body as Prisma.InputJsonObject,
    requestHash: requestHash(body),
    idempotencyKey: idempotencyKey ?? null,
    config: config as unknown as Prisma.InputJsonObject,
    seed: config.seed,
    steps: config.steps,
    suitesOpen: config.evaluation.suites !== undefined,
    analysesOpen: config.evaluation.analyses !== undefined,
    trainingFileId: request.training_file,
    validationFileId: request.validation_file ?? null,
  } satisfies Prisma.RunUncheckedCreateInput;
  return { task, run };
}
