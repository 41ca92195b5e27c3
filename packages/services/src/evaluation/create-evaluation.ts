import { type EvaluationTaskObject, newId } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import type { Prisma } from '../ground/db.js';
import { findRepeated, type Repeatable } from '../ground/find-repeated.js';
import { notify } from '../ground/publish.js';
import { requestHash } from '../ground/request-hash.js';
import { queryableOf } from '../ground/transaction.js';
import { holdFiles } from '../library/hold-files.js';
import { offerTask } from '../work/offer-task.js';
import { eventMessage, insertEvent } from '../work/record-event.js';
import { evaluateKind } from './evaluate-kind.js';
import { evaluationFinder } from './evaluation-finder.js';
import { holdEvaluated } from './find-evaluated.js';
import { getEvaluation } from './get-evaluation.js';
import { type PreparedEvaluation, prepareEvaluation } from './prepare-evaluation.js';

/**
 * Queues an evaluation. What can be wrong with a request without reading its rows is said here, before anything is stored. The same request
 * sent again by a client's retry, or under the same idempotency key, answers the first evaluation.
 */
export async function createEvaluation(
  s: Services,
  actor: Actor,
  body: unknown,
  repeatable: Repeatable = {},
): Promise<EvaluationTaskObject> {
  const prepared = await prepareEvaluation(s, actor, body);
  const { task, evaluation } = rowsOf(actor, prepared, requestHash(body), repeatable);
  const hash = evaluation.requestHash;
  const created = await s.db.$transaction(async (tx) => {
    const repeated = await findRepeated(tx, actor, hash, repeatable, evaluationFinder(tx, actor, hash));
    if (repeated) return { id: repeated, event: null };
    await holdFiles(tx, prepared.files);
    await holdEvaluated(tx, prepared.request.model, prepared.tuned);
    await tx.task.create({ data: task });
    await tx.evaluationTask.create({ data: evaluation });
    const of = { projectId: actor.projectId, taskId: task.id, attempt: 0 };
    const message = `Created evaluation: ${task.id}`;
    return { id: task.id, event: await insertEvent(queryableOf(tx), of, { level: 'info', message }) };
  });
  if (created.event) {
    await offerTask(s, task);
    await notify(s, task.id, [eventMessage(created.event)]);
  }
  return getEvaluation(s, actor, created.id);
}

/** The task and the evaluation beside it, under one id. */
function rowsOf(
  actor: Actor,
  { request, base, tuned }: PreparedEvaluation,
  hash: string,
  { idempotencyKey = null }: { idempotencyKey?: string | null },
) {
  const common = { id: newId('evaluationTask'), projectId: actor.projectId };
  const task = {
    ...common,
    kind: evaluateKind.name,
    submission: 1,
    status: 'queued',
    pool: request.pool ?? 'default',
    priority: request.priority ?? 50,
    maxAttempts: request.max_attempts ?? 10,
  } satisfies Prisma.TaskUncheckedCreateInput;
  const evaluation = {
    ...common,
    model: request.model,
    baseName: base.name,
    baseId: base.id,
    runId: tuned?.runId ?? null,
    checkpointId: tuned?.checkpointId ?? null,
    adapterId: tuned?.adapterId ?? null,
    tunedSha256: tuned?.sha256 ?? null,
    tunedStep: tuned?.step ?? null,
    lambda: request.lambda ?? 1,
    suite: request.suite,
    fileId: request.file,
    examplesFileId: request.examples ?? null,
    fewshot: request.fewshot ?? null,
    itemsMax: request.limit ?? null,
    seed: request.seed ?? null,
    metadata: request.metadata ?? {},
    requestHash: hash,
    keyId: actor.keyId,
    idempotencyKey,
  } satisfies Prisma.EvaluationTaskUncheckedCreateInput;
  return { task, evaluation };
}
