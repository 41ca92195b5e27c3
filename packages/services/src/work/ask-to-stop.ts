import type { StopReason, StreamMessage } from '@moraine/contract';
import type { Services } from '../ground/context.js';
import { notify, type StatusRow, statusMessage } from '../ground/publish.js';
import { publishControl } from '../ground/publish-control.js';
import { inTransaction } from '../ground/transaction.js';
import { eventMessage, insertEvent } from './record-event.js';

/** States of a running task that somebody asked for: nothing but the end of its attempt, or another wish, takes them back. */
export const ASKED = `('cancelling', 'pausing')`;

export type Wish = Exclude<StopReason, 'drain'>;

/** What a task's state asks its attempt to do; null: to go on. */
export const wishOf = (state: string | null): Wish | null =>
  state === 'cancelling' ? 'cancel' : state === 'pausing' ? 'pause' : null;

const WISHES = {
  cancel: {
    state: 'cancelling',
    /** A cancel counts more than a pause. */
    unless: `('cancelling')`,
    code: 'cancel_requested',
    reason: 'It stops after the step that it is in.',
    event: 'Cancellation requested',
  },
  pause: {
    state: 'pausing',
    unless: ASKED,
    code: 'pause_requested',
    reason: 'It saves where it is after the step that it is in, and stops.',
    event: 'Pause requested',
  },
} as const;

/** Asks the attempt of a running task to stop. False when it was not running any more, or somebody asked first. */
export async function askToStop(s: Services, taskId: string, attempt: number, wish: Wish): Promise<boolean> {
  const { state, unless, code, reason, event: said } = WISHES[wish];
  const stateReason = { code, message: reason, since: Math.floor(Date.now() / 1_000) };
  const messages = await inTransaction(s, async (client): Promise<StreamMessage[] | null> => {
    const { rows } = await client.query<StatusRow & { project_id: string }>(
      `UPDATE tasks SET state = $3, state_reason = $4
       WHERE id = $1 AND attempt = $2 AND status = 'running' AND coalesce(state, '') NOT IN ${unless}
       RETURNING project_id, status, state, state_reason, attempt`,
      [taskId, attempt, state, stateReason],
    );
    const task = rows[0];
    if (!task) return null;
    const event = await insertEvent(
      client,
      { projectId: task.project_id, taskId, attempt },
      { level: 'info', message: said },
    );
    return [eventMessage(event), statusMessage(task)];
  });
  if (!messages) return false;
  await Promise.all([publishControl(s, { type: wish, taskId }), notify(s, taskId, messages)]);
  return true;
}
