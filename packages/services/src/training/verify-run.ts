import { AppError, isTerminal, type RunObject, type RunStatus } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { notify } from '../ground/publish.js';
import { inTransaction } from '../ground/transaction.js';
import { offerTask } from '../work/offer-task.js';
import { eventMessage } from '../work/record-event.js';
import { getRun } from './get-run.js';
import { queueVerification } from './queue-verification.js';
import { requireRun } from './require-run.js';
import { requireSpan } from './verify-span.js';

/**
 * Queues the check that an ended run can be gone on with: a worker of its pool repeats the steps between two of its checkpoints and compares.
 * `resume_check` of the run says how far it is and what came of it. Asking again while it is queued or runs changes nothing.
 * @throws AppError `conflict` for a run that has not ended, or that kept nothing to compare.
 */
export async function verifyRun(s: Services, actor: Actor, runId: string): Promise<RunObject> {
  const { task } = await requireRun(s, actor, runId);
  if (!isTerminal(task.status as RunStatus)) {
    throw new AppError('conflict', `${runId} is ${task.status}; a run is verified when it has ended.`, {
      param: 'fine_tuning_job_id',
      hint: 'Wait until it has ended, or create runs with verify_resume: true.',
    });
  }
  await requireSpan(s, runId);
  const queued = await inTransaction(s, (client) => queueVerification(client, runId));
  if (queued) {
    await offerTask(s, queued.offer);
    await notify(s, runId, [eventMessage(queued.event)]);
  }
  return getRun(s, actor, runId);
}
