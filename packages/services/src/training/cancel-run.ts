import { AppError, isTerminal, type RunObject, type RunStatus } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { notify, statusMessage } from '../ground/publish.js';
import { inTransaction } from '../ground/transaction.js';
import { askToStop } from '../work/ask-to-stop.js';
import { moveTask } from '../work/move-task.js';
import { withdrawOffer } from '../work/offer-task.js';
import { eventMessage, insertEvent } from '../work/record-event.js';
import { requireTask } from '../work/require-task.js';
import { getRun } from './get-run.js';
import { untilSettled } from './until-settled.js';

const WAITING = ['validating_files', 'queued', 'paused'] as const satisfies readonly RunStatus[];

/**
 * Ends a run. One that waits is cancelled at once; one that runs is told to stop after its step and becomes `cancelled` when its
 * worker says so (or when its lease runs out). Asking again while it is stopping changes nothing.
 * @throws AppError `conflict` for a run that has ended.
 */
export function cancelRun(s: Services, actor: Actor, runId: string): Promise<RunObject> {
  return untilSettled(runId, async () => {
    const { status: word, state, attempt } = await requireTask(s, actor, runId);
    const status = word as RunStatus;
    if (isTerminal(status)) {
      const ended = status === 'cancelled' ? 'been cancelled' : status;
      throw new AppError('conflict', `${runId} has ${ended} already and cannot be cancelled.`, {
        param: 'fine_tuning_job_id',
        hint: 'A finished run never changes.',
      });
    }
    const isDone =
      state === 'cancelling' ||
      (status === 'running' ? await askToStop(s, runId, attempt, 'cancel') : await cancelWaiting(s, runId));
    return isDone ? getRun(s, actor, runId) : null;
  });
}

/** False when the run was not waiting any more. */
async function cancelWaiting(s: Services, runId: string): Promise<boolean> {
  const cancelled = await inTransaction(s, async (client) => {
    const task = await moveTask(client, runId, 'cancelled', {}, WAITING);
    if (!task) return null;
    const of = { projectId: task.project_id, taskId: runId, attempt: task.attempt };
    return { task, event: await insertEvent(client, of, { level: 'info', message: 'The run was cancelled' }) };
  });
  if (!cancelled) return false;
  const { task, event } = cancelled;
  await Promise.all([notify(s, runId, [eventMessage(event), statusMessage(task)]), withdrawOffer(s, task)]);
  return true;
}
