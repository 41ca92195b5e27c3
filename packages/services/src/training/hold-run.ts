import type { RunStatus, StateReason } from '@moraine/contract';
import type pg from 'pg';
import type { Services } from '../ground/context.js';
import type { TaskModel } from '../ground/generated/models.js';
import { notify, statusMessage } from '../ground/publish.js';
import { inTransaction, type Queryable } from '../ground/transaction.js';
import { type MovePatch, moveTask } from '../work/move-task.js';
import { offerTask } from '../work/offer-task.js';
import { eventMessage, insertEvent } from '../work/record-event.js';

/** Of `tasks t`: it waits at the step that it is held at. One that somebody has paused waits for whoever resumes it, wherever it is. */
export const IS_HELD = `(t.status = 'paused' AND coalesce(t.state_reason ->> 'code', '') = 'held')`;

/** Whether a run waits at the step that it is held at; one that somebody has paused there does not. */
export const isHeld = ({ status, stateReason }: Pick<TaskModel, 'status' | 'stateReason'>): boolean =>
  status === 'paused' && (stateReason as StateReason | null)?.code === 'held';

/** A held run, as whoever decides about it knows it: one that is held elsewhere by now, or no more, is left alone. */
export interface HeldRun {
  runId: string;
  /** The step that it is held at. */
  at: number;
  /** Said among its events. */
  message: string;
  /** In the transaction, before all else: throws where the decision does not stand any more. */
  check: (client: Queryable) => Promise<void>;
}

/**
 * Lets a held run go on from its checkpoint, to the bit, to the step `next`; null: to its last. It takes the place in the queue that it had when it was made, so that it
 * goes before runs of its experiment that have not begun; it has waited since now (`WAITING_SINCE`). Asking again changes nothing.
 */
export async function promoteRun(s: Services, held: HeldRun, next: number | null): Promise<void> {
  const { message } = held;
  const patch = { state_reason: { code: 'promoted', message, since: nowInSeconds() } };
  const task = await moveAndSay(s, held.runId, 'queued', patch, 'paused', message, async (client) => {
    await held.check(client);
    const { rowCount } = await client.query(
      `WITH promoted AS (
         UPDATE tasks t SET submission = submission + 1, queued_at = created_at
         WHERE id = $1 AND ${IS_HELD} AND EXISTS (SELECT FROM runs WHERE id = $1 AND hold_step = $2) RETURNING id)
       UPDATE runs r SET hold_step = $3 FROM promoted p WHERE r.id = p.id`,
      [held.runId, held.at, next],
    );
    return rowCount === 1;
  });
  if (task) await offerTask(s, task);
}

/** Ends a held run that is not to go on: `cancelled`, with the reason beside it. Asking again changes nothing. */
export async function endHeldRun(
  s: Services,
  { runId, at, message, check }: HeldRun,
  code: typeof NOT_PROMOTED | 'experiment_failed' = NOT_PROMOTED,
): Promise<void> {
  const patch = { state_reason: { code, message, since: nowInSeconds() } };
  await moveAndSay(s, runId, 'cancelled', patch, 'paused', message, async (client) => {
    await check(client);
    const { rowCount } = await client.query(
      `SELECT 1 FROM runs r JOIN tasks t ON t.id = r.id WHERE r.id = $1 AND r.hold_step = $2 AND ${IS_HELD}`,
      [runId, at],
    );
    return rowCount === 1;
  });
}

const nowInSeconds = (): number => Math.floor(Date.now() / 1_000);

/** Why a run was cancelled that was held and is not among the best. */
export const NOT_PROMOTED = 'not_promoted';

/**
 * Moves a run that no attempt holds, says so among its events and to its followers. `part` comes first, in the transaction, and may say that nothing is to be moved. Null when
 * the run was elsewhere.
 */
export async function moveAndSay(
  s: Services,
  runId: string,
  to: 'paused' | 'queued' | 'cancelled',
  patch: MovePatch,
  from: RunStatus,
  message: string,
  part: (client: pg.PoolClient) => Promise<boolean>,
) {
  const moved = await inTransaction(s, async (client) => {
    if (!(await part(client))) return null;
    const task = await moveTask(client, runId, to, patch, [from]);
    if (!task) return null;
    const of = { projectId: task.project_id, taskId: runId, attempt: task.attempt };
    return { task, event: await insertEvent(client, of, { level: 'info', message }) };
  });
  if (!moved) return null;
  await notify(s, runId, [statusMessage(moved.task), eventMessage(moved.event)]);
  return moved.task;
}
