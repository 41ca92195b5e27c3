import { newId, type StateReason } from '@moraine/contract';
import type { Services } from '../ground/context.js';
import { notify, type StatusRow, statusMessage } from '../ground/publish.js';
import { endAttempt } from '../work/end-attempt.js';
import { LIVE } from '../work/fence.js';
import { WORKER_SILENT_MS } from '../work/list-workers.js';
import { type EventRow, eventMessage } from '../work/record-event.js';
import type { Ending } from '../work/verdict.js';

type LostRow = StatusRow & { id: string; event: EventRow; event_created_at: Date };

/** Marks the runs whose lease has run out; a renewal still takes them back. */
export async function markLostContact(s: Services): Promise<number> {
  const { rows } = await s.pg.query<LostRow>(
    `WITH expired AS (
       SELECT r.id, w.name, w.id AS worker_id FROM runs r
       JOIN attempts a ON a.run_id = r.id AND a.attempt = r.attempt JOIN workers w ON w.id = a.worker_id
       WHERE r.status = 'running' AND r.state IS DISTINCT FROM 'lost_contact' AND r.state IS DISTINCT FROM 'cancelling'
         AND a.status IN ${LIVE} AND a.lease_expires_at < now()
       FOR NO KEY UPDATE OF r SKIP LOCKED
     ), run AS (
       UPDATE runs r SET state = 'lost_contact', state_reason = jsonb_build_object('code', 'lost_contact',
         'message', format('Worker %s has not been heard of.', e.name), 'since', extract(epoch FROM now())::int)
       FROM expired e WHERE r.id = e.id
       RETURNING r.id, r.project_id, r.status, r.state, r.state_reason, r.attempt, e.name, e.worker_id
     ), event AS (
       INSERT INTO events (id, project_id, run_id, attempt, level, type, message, data)
       SELECT $1 || row_number() OVER (), project_id, id, attempt, 'warn', 'message',
         format('Contact with worker %s was lost', name), jsonb_build_object('worker_id', worker_id) FROM run
       RETURNING id, run_id, level, type, message, data, created_at
     )
     SELECT run.*, to_json(event) AS event, event.created_at AS event_created_at FROM run JOIN event ON event.run_id = run.id`,
    [newId('event')],
  );
  for (const row of rows) {
    const event = eventMessage({ ...row.event, created_at: row.event_created_at });
    await notify(
      s,
      row.id,
      [statusMessage({ ...row, state_reason: row.state_reason as StateReason | null }), event],
      row.attempt,
    );
  }
  return rows.length;
}

/**
 * Gives up attempts whose lease has run out and that were marked in an earlier round: the run is queued again, or failed when its budget
 * of attempts is spent, or cancelled when that was asked for.
 */
export async function expireLeases(s: Services): Promise<number> {
  const { rows } = await s.pg.query<{ run_id: string; attempt: number; worker_id: string; name: string }>(
    `SELECT a.run_id, a.attempt, a.worker_id, w.name FROM attempts a
     JOIN runs r ON r.id = a.run_id AND r.attempt = a.attempt JOIN workers w ON w.id = a.worker_id
     WHERE a.status IN ${LIVE} AND a.lease_expires_at < now() - interval '1 second'
       AND r.status = 'running' AND r.state IN ('lost_contact', 'cancelling')`,
  );
  let ended = 0;
  for (const row of rows) {
    try {
      const verdict = await endAttempt(
        s,
        { runId: row.run_id, attempt: row.attempt, workerId: row.worker_id },
        lostBy(row.name),
        {
          lease: 'expired',
        },
      );
      if (verdict) ended++;
    } catch (error) {
      // One run that cannot be ended must not keep the others waiting; it is tried again in the next round.
      s.log.error({ err: error, runId: row.run_id, attempt: row.attempt }, 'a lost attempt could not be ended');
    }
  }
  return ended;
}

const lostBy = (worker: string): Ending => ({
  status: 'lost',
  cause: 'lost_worker',
  code: 'lost_worker',
  message: `Contact with worker ${worker} was lost.`,
});

/** Workers without a heartbeat are lost; a heartbeat brings them back. */
export async function markLostWorkers(s: Services, silentMs = WORKER_SILENT_MS): Promise<void> {
  await s.pg.query(
    `UPDATE workers SET status = 'lost' WHERE status NOT IN ('lost', 'gone') AND heartbeat_at < now() - $1 * interval '1 millisecond'`,
    [silentMs],
  );
}
