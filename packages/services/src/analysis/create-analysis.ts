import type { AnalysisTaskObject } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { findRepeated, type Repeatable } from '../ground/find-repeated.js';
import { notify } from '../ground/publish.js';
import { requestHash } from '../ground/request-hash.js';
import { holdFiles } from '../library/hold-files.js';
import { offerTask } from '../work/offer-task.js';
import { eventMessage } from '../work/record-event.js';
import { analysisFinder } from './analysis-finder.js';
import { getAnalysis } from './get-analysis.js';
import { prepareAnalysis } from './prepare-analysis.js';
import { fileOf, type StoredAnalysis, storeAnalysis } from './store-analysis.js';

/**
 * Queues an analysis. What can be wrong with a request without opening the model is said here, before anything is stored. The same request sent again
 * by a client's retry, or under the same idempotency key, answers the first analysis.
 */
export async function createAnalysis(
  s: Services,
  actor: Actor,
  body: unknown,
  repeatable: Repeatable = {},
): Promise<AnalysisTaskObject> {
  const { request, base, tuned, ask } = await prepareAnalysis(s, actor, body);
  const hash = requestHash(body);
  const { projectId, keyId } = actor;
  const file = fileOf(ask);
  const created = await s.db.$transaction(async (tx) => {
    const repeated = await findRepeated(tx, actor, hash, repeatable, analysisFinder(tx, actor, hash));
    if (repeated) return repeated;
    if (file !== null) await holdFiles(tx, [file]);
    return storeAnalysis(tx, {
      projectId,
      model: request.model,
      base,
      tuned,
      lambda: request.lambda ?? 1,
      ask,
      task: {
        pool: request.pool ?? 'default',
        priority: request.priority ?? 50,
        maxAttempts: request.max_attempts ?? 10,
      },
      metadata: request.metadata ?? {},
      found: { requestHash: hash, keyId, idempotencyKey: repeatable.idempotencyKey ?? null },
    });
  });
  if (typeof created === 'string') return getAnalysis(s, actor, created);
  await announceAnalysis(s, created);
  return getAnalysis(s, actor, created.task.id);
}

/** Says that an analysis is there, once it is stored. */
export async function announceAnalysis(s: Services, { task, event }: StoredAnalysis): Promise<void> {
  await offerTask(s, task);
  await notify(s, task.id, [eventMessage(event)]);
}
