import { isTerminal, type RunStatus } from '@moraine/contract';
import type pg from 'pg';
import type { StatusRow } from '../ground/publish.js';
import { statusesBefore } from './transition.js';

export interface MovedRun extends StatusRow {
  id: string;
  project_id: string;
  pool: string;
  submission: number;
  priority: number;
}

/**
 * Moves a run whose row the caller has locked to its next status, if the table of transitions allows it; null when it does not. `state` and
 * its reason are cleared and a terminal status gets its time; `patch` sets other columns.
 */
export async function moveRun(
  client: pg.PoolClient,
  runId: string,
  to: RunStatus,
  patch: Readonly<Record<string, unknown>>,
): Promise<MovedRun | null> {
  const columns = Object.entries({ state: null, state_reason: null, tokens_per_second: null, ...patch });
  const sets = columns.map(([name], index) => `${name} = $${index + 4}`);
  const { rows } = await client.query<MovedRun>(
    `UPDATE runs SET status = $2, finished_at = ${isTerminal(to) ? 'now()' : 'NULL'}, ${sets.join(', ')}
     WHERE id = $1 AND status = ANY($3)
     RETURNING id, project_id, status, state, state_reason, attempt, pool, submission, priority`,
    [runId, to, statusesBefore(to), ...columns.map(([, value]) => value)],
  );
  return rows[0] ?? null;
}
