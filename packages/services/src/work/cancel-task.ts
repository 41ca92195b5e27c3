import { AppError, isTerminal, type RunStatus } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { notify, statusMessage } from '../ground/publish.js';
import { inTransaction } from '../ground/transaction.js';
import { askToStop } from './ask-to-stop.js';
import { moveTask } from './move-task.js';
import { withdrawOffer } from './offer-task.js';
import { eventMessage, insertEvent } from './record-event.js';
import { requireTask, type WireKind, wordsOf } from './require-task.js';
import { untilSettled } from './until-settled.js';

const WAITING = ['validating_files', 'queued', 'paused'] as const satisfies readonly RunStatus[];

/**
 * Ends a task and returns what `read` says of it then. One that waits is cancelled at once; one that runs is told to stop and becomes `cancelled`
 * when its worker says so (or when its lease runs out). Asking again while it is stopping changes nothing.
 * @throws AppError `conflict` for a task that has ended.
 */
export function cancelTask<T>(
  s: Services,
  actor: Actor,
  taskId: string,
  kind: WireKind,
  read: () => Promise<T>,
): Promise<T> {
  return untilSettled(taskId, async () => {
    const { status: word, state, attempt } = await requireTask(s, actor, taskId, kind);
    const status = word as RunStatus;
    const { noun, param } = wordsOf(kind);
    if (isTerminal(status)) {
      const ended = status === 'cancelled' ? 'been cancelled' : status;
      throw new AppError('conflict', `${taskId} has ${ended} already and cannot be cancelled.`, {
        param,
        hint: `A finished ${noun} never changes.`,
      });
    }
    const isDone =
      state === 'cancelling' ||
      (status === 'running' ? await askToStop(s, taskId, attempt, 'cancel') : await cancelWaiting(s, taskId, noun));
    return isDone ? read() : null;
  });
}

/** False when the task was not waiting any more. */
async function cancelWaiting(s: Services, taskId: string, noun: string): Promise<boolean> {
  const cancelled = await inTransaction(s, async (client) => {
    const task = await moveTask(client, taskId, 'cancelled', {}, WAITING);
    if (!task) return null;
    const of = { projectId: task.project_id, taskId, attempt: task.attempt };
    return { task, event: await insertEvent(client, of, { level: 'info', message: `The ${noun} was cancelled` }) };
  });
  if (!cancelled) return false;
  const { task, event } = cancelled;
  await Promise.all([notify(s, taskId, [eventMessage(event), statusMessage(task)]), withdrawOffer(s, task)]);
  return true;
}
