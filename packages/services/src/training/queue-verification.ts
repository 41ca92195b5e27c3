import { newId, plainCheck } from '@moraine/contract';
import type pg from 'pg';
import type { Offer } from '../work/offer-task.js';
import { type EventRow, insertEvent } from '../work/record-event.js';
import { verifyKind, writeCheck } from './verify-kind.js';

const MAX_ATTEMPTS = 3;

/** Stores the task, its row and an event of the run. Null where a verification of the run is queued or runs already. */
export async function queueVerification(
  client: pg.PoolClient,
  runId: string,
): Promise<{ offer: Offer; event: EventRow } | null> {
  const { rows } = await client.query<Omit<Offer, 'id'> & { project_id: string }>(
    'SELECT project_id, pool, priority, 1 AS submission FROM tasks WHERE id = $1 AND deleted_at IS NULL FOR UPDATE',
    [runId],
  );
  const [run] = rows;
  if (!run || (await isBeingVerified(client, runId))) return null;
  const id = newId('verification');
  await client.query(
    `INSERT INTO tasks (id, kind, project_id, pool, priority, status, max_attempts) VALUES ($1, $2, $3, $4, $5, 'queued', $6)`,
    [id, verifyKind.name, run.project_id, run.pool, run.priority, MAX_ATTEMPTS],
  );
  await client.query('INSERT INTO verifications (id, project_id, run_id) VALUES ($1, $2, $3)', [
    id,
    run.project_id,
    runId,
  ]);
  await writeCheck(client, id, plainCheck('queued', 'Waits for a worker.'));
  const of = { projectId: run.project_id, taskId: runId, attempt: 0 };
  const event = await insertEvent(client, of, { level: 'info', message: 'The check of the resume is queued' });
  return { offer: { id, pool: run.pool, priority: run.priority, submission: run.submission }, event };
}

async function isBeingVerified(client: pg.PoolClient, runId: string): Promise<boolean> {
  const { rowCount } = await client.query(
    'SELECT 1 FROM verifications v JOIN tasks t ON t.id = v.id WHERE v.run_id = $1 AND t.finished_at IS NULL',
    [runId],
  );
  return (rowCount ?? 0) > 0;
}
