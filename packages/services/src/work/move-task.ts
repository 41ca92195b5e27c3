import { isTerminal, type RunStatus, type StateReason } from '@moraine/contract';
import type { StatusRow } from '../ground/publish.js';
import type { Queryable } from '../ground/transaction.js';
import { outboxSql, webhookEventOf } from '../ground/webhook-outbox.js';
import { statusesBefore } from './transition.js';

export interface MovedTask extends StatusRow {
  id: string;
  project_id: string;
  pool: string;
  submission: number;
  priority: number;
}

/** Columns that a move sets beside the status. */
export interface MovePatch {
  state_reason?: StateReason;
  queued_at?: Date;
  error_code?: string;
  error_message?: string;
  error_param?: string | null;
}

/**
 * Moves a task to its next status in one statement that expects its old one, so of two movers one wins; null when the table of
 * transitions does not allow it. Whoever is to hear of the move by webhook does so by the same statement. `state` and its reason are cleared and a terminal status gets its time; `patch` sets other columns.
 */
export async function moveTask(
  client: Queryable,
  taskId: string,
  to: RunStatus,
  patch: MovePatch = {},
  from: readonly RunStatus[] = statusesBefore(to),
): Promise<MovedTask | null> {
  const columns = Object.entries({ state: null, state_reason: null, ...patch });
  const sets = columns.map(([name], index) => `${name} = $${index + 4}`);
  const event = webhookEventOf(to, from);
  const values = [
    taskId,
    to,
    statusesBefore(to).filter((status) => from.includes(status)),
    ...columns.map(([, value]) => value),
  ];
  const { rows } = await client.query<MovedTask>(
    `WITH moved AS (
       UPDATE tasks SET status = $2, finished_at = ${isTerminal(to) ? 'now()' : 'NULL'}, ${sets.join(', ')}
       WHERE id = $1 AND status = ANY($3)
       RETURNING id, kind, project_id, status, state, state_reason, attempt, pool, submission, priority
     )${event === null ? '' : `, ${outboxSql(`$${values.length + 1}`)}`}
     SELECT id, project_id, status, state, state_reason, attempt, pool, submission, priority FROM moved`,
    event === null ? values : [...values, event],
  );
  return rows[0] ?? null;
}
