import type { EvaluationTaskObject } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { findRepeated, type Repeatable } from '../ground/find-repeated.js';
import { notify } from '../ground/publish.js';
import { requestHash } from '../ground/request-hash.js';
import { holdFiles } from '../library/hold-files.js';
import { offerTask } from '../work/offer-task.js';
import { eventMessage } from '../work/record-event.js';
import { evaluationFinder } from './evaluation-finder.js';
import { getEvaluation } from './get-evaluation.js';
import { prepareEvaluation } from './prepare-evaluation.js';
import { type StoredEvaluation, storeEvaluation } from './store-evaluation.js';

/**
 * Queues an evaluation. What can be wrong with a request without reading its rows is said here, before anything is stored. The same request
 * sent again by a client's retry, or under the same idempotency key, answers the first evaluation.
 */
export async function createEvaluation(
  s: Services,
  actor: Actor,
  body: unknown,
  repeatable: Repeatable = {},
  experimentId: string | null = null,
): Promise<EvaluationTaskObject> {
  const { request, base, tuned, files } = await prepareEvaluation(s, actor, body);
  const hash = requestHash(body);
  const { projectId, keyId } = actor;
  const created = await s.db.$transaction(async (tx) => {
    const repeated = await findRepeated(tx, actor, hash, repeatable, evaluationFinder(tx, actor, hash));
    if (repeated) return repeated;
    await holdFiles(tx, files);
    return storeEvaluation(tx, {
      projectId,
      model: request.model,
      base,
      tuned,
      asked: request,
      task: {
        pool: request.pool ?? 'default',
        priority: request.priority ?? 50,
        maxAttempts: request.max_attempts ?? 10,
      },
      metadata: request.metadata ?? {},
      found: { requestHash: hash, keyId, idempotencyKey: repeatable.idempotencyKey ?? null },
      experimentId,
    });
  });
  if (typeof created === 'string') return getEvaluation(s, actor, created);
  await announceEvaluation(s, created);
  return getEvaluation(s, actor, created.task.id);
}

/** Says that an evaluation is there, once it is stored. */
export async function announceEvaluation(s: Services, { task, event }: StoredEvaluation): Promise<void> {
  await offerTask(s, task);
  await notify(s, task.id, [eventMessage(event)]);
}
