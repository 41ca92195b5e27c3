import { AppError, isTerminal, type RunObject, type RunStatus, type StateReason } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { notify, type StatusRow, statusMessage } from '../ground/publish.js';
import { publishControl } from '../ground/publish-control.js';
import { inTransaction } from '../ground/transaction.js';
import { moveTask } from '../work/move-task.js';
import { withdrawOffer } from '../work/offer-task.js';
import { eventMessage, insertEvent } from '../work/record-event.js';
import { requireTask } from '../work/require-task.js';
import { getRun } from './get-run.js';

const WAITING = ['validating_files', 'queued', 'paused'] as const satisfies readonly RunStatus[];
/** A run may change under us between two looks, but not for ever. */
const LOOKS = 5;

/**
 * Ends a run. One that waits is cancelled at once; one that runs is told to stop after its step and becomes `cancelled` when its
 * worker says so (or when its lease runs out). Asking again while it is stopping changes nothing.
 * @throws AppError `conflict` for a run that has ended.
 */
export async function cancelRun(s: Services, actor: Actor, runId: string): Promise<RunObject> {
  for (let look = 0; look < LOOKS; look++) {
    const task = await requireTask(s, actor, runId);
    const status = task.status as RunStatus;
    if (isTerminal(status)) {
      throw new AppError(
        'conflict',
        `${runId} has ${status === 'cancelled' ? 'been cancelled' : status} already and cannot be cancelled.`,
        {
          param: 'fine_tuning_job_id',
          hint: 'A finished run never changes.',
        },
      );
    }
    if (task.state === 'cancelling') return getRun(s, actor, runId);
    const isDone = status === 'running' ? await askToStop(s, runId, task.attempt) : await cancelWaiting(s, runId);
    if (isDone) return getRun(s, actor, runId);
  }
  throw new AppError('unavailable', `${runId} keeps changing.`, { hint: 'Send the request again.' });
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

/** False when the run was not running any more, or somebody asked first. */
async function askToStop(s: Services, runId: string, attempt: number): Promise<boolean> {
  const reason: StateReason = {
    code: 'cancel_requested',
    message: 'The run stops after the step that it is in.',
    since: Math.floor(Date.now() / 1_000),
  };
  const asked = await inTransaction(s, async (client) => {
    const { rows } = await client.query<StatusRow & { project_id: string }>(
      `UPDATE tasks SET state = 'cancelling', state_reason = $3
       WHERE id = $1 AND attempt = $2 AND status = 'running' AND state IS DISTINCT FROM 'cancelling'
       RETURNING project_id, status, state, state_reason, attempt`,
      [runId, attempt, reason],
    );
    const task = rows[0];
    if (!task) return null;
    const of = { projectId: task.project_id, taskId: runId, attempt };
    return { task, event: await insertEvent(client, of, { level: 'info', message: 'Cancellation requested' }) };
  });
  if (!asked) return false;
  await Promise.all([
    publishControl(s, { type: 'cancel', taskId: runId }),
    notify(s, runId, [eventMessage(asked.event), statusMessage(asked.task)]),
  ]);
  return true;
}
