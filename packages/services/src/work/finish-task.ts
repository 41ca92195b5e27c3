import type { StateReason } from '@moraine/contract';
import type pg from 'pg';
import type { AttemptToken, Services } from '../ground/context.js';
import { notify, statusMessage } from '../ground/publish.js';
import { hasEnded, staleAttempt, underFence } from './fence.js';
import { moveTask } from './move-task.js';
import { eventMessage, insertEvent, type NewEvent } from './record-event.js';

export type Outcome = 'succeeded' | 'cancelled';

/** The kind's own part of an end: it writes what it keeps of the outcome and returns the event that says so. */
export type FinishPart = (client: pg.PoolClient, outcome: Outcome) => Promise<NewEvent>;

/**
 * Ends the task: as `wanted`, with a reason beside its status where one is given, or `cancelled` when a cancel came first. Sending it twice is safe. @throws AppError `stale_attempt`.
 */
export async function finishTask(
  s: Services,
  token: AttemptToken,
  wanted: Outcome,
  part: FinishPart,
  reason?: Omit<StateReason, 'since'>,
): Promise<void> {
  const { taskId, attempt } = token;
  const ended = await underFence(s, token, async (client, { project_id, state }) => {
    const outcome = state === 'cancelling' ? 'cancelled' : wanted;
    await client.query(
      `UPDATE attempts SET status = 'finished', finished_at = now() WHERE task_id = $1 AND attempt = $2`,
      [taskId, attempt],
    );
    const since = Math.floor(Date.now() / 1_000);
    const patch = reason && outcome === wanted ? { state_reason: { ...reason, since } } : {};
    const task = await moveTask(client, taskId, outcome, patch);
    if (!task) throw staleAttempt(token);
    const event = await part(client, outcome);
    return { task, event: await insertEvent(client, { ...token, projectId: project_id }, event) };
  });
  if (ended) return notify(s, taskId, [eventMessage(ended.event), statusMessage(ended.task)], attempt);
  if (!(await hasEnded(s, token, ['finished']))) throw staleAttempt(token);
}
