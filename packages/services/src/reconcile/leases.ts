import type { Services } from '../ground/context.js';
import { notify, type StatusRow, statusMessage } from '../ground/publish.js';
import { inTransaction } from '../ground/transaction.js';
import { KINDS, kindOf } from '../kinds/kinds.js';
import { endAttempt } from '../work/end-attempt.js';
import { LIVE } from '../work/fence.js';
import { WORKER_SILENT_MS } from '../work/list-workers.js';
import { type EventOf, type EventRow, eventMessage, insertEvent, type NewEvent } from '../work/record-event.js';
import type { Ending } from '../work/verdict.js';

type LostRow = StatusRow & { id: string; project_id: string; name: string; worker_id: string };

/**
 * Marks the tasks whose lease had run out at `asOf`, by the database's clock (default: now); a renewal still takes them back. A caller that
 * gives the time at which it knew the clock to be right is not deceived by a clock that is put on a moment later.
 */
export async function markLostContact(s: Services, asOf: Date | null = null): Promise<number> {
  const lost = await inTransaction(s, async (client) => {
    const { rows } = await client.query<LostRow>(
      `WITH expired AS (
         SELECT t.id, w.name, w.id AS worker_id FROM tasks t
         JOIN attempts a ON a.task_id = t.id AND a.attempt = t.attempt JOIN workers w ON w.id = a.worker_id
         WHERE t.status = 'running' AND coalesce(t.state, '') NOT IN ('lost_contact', 'cancelling', 'pausing')
           AND a.status IN ${LIVE} AND a.lease_expires_at < coalesce($1::timestamptz, now())
         FOR NO KEY UPDATE OF t SKIP LOCKED
       )
       UPDATE tasks t SET state = 'lost_contact', state_reason = jsonb_build_object('code', 'lost_contact',
         'message', format('Worker %s has not been heard of.', e.name), 'since', extract(epoch FROM now())::int)
       FROM expired e WHERE t.id = e.id
       RETURNING t.id, t.project_id, t.status, t.state, t.state_reason, t.attempt, e.name, e.worker_id`,
      [asOf],
    );
    const marked: { task: LostRow; event: EventRow }[] = [];
    for (const task of rows) marked.push({ task, event: await insertEvent(client, eventOf(task), lostEvent(task)) });
    return marked;
  });
  for (const { task, event } of lost)
    await notify(s, task.id, [statusMessage(task), eventMessage(event)], task.attempt);
  return lost.length;
}

const eventOf = ({ id, project_id, attempt }: LostRow): EventOf => ({ projectId: project_id, taskId: id, attempt });

const lostEvent = ({ name, worker_id }: LostRow): NewEvent => ({
  level: 'warn',
  message: `Contact with worker ${name} was lost`,
  data: { worker_id },
});

/**
 * Gives up attempts whose lease has run out and that were marked in an earlier round: the task is queued again, or failed when its budget
 * of attempts is spent, or cancelled or paused when that was asked for.
 */
export async function expireLeases(s: Services, asOf: Date | null = null, kinds = KINDS): Promise<number> {
  const { rows } = await s.pg.query<{
    task_id: string;
    kind: string;
    attempt: number;
    worker_id: string;
    name: string;
  }>(
    `SELECT a.task_id, t.kind, a.attempt, a.worker_id, w.name FROM attempts a
     JOIN tasks t ON t.id = a.task_id AND t.attempt = a.attempt JOIN workers w ON w.id = a.worker_id
     WHERE a.status IN ${LIVE} AND a.lease_expires_at < coalesce($1::timestamptz, now()) - interval '1 second'
       AND t.status = 'running' AND t.state IN ('lost_contact', 'cancelling', 'pausing')`,
    [asOf],
  );
  let ended = 0;
  for (const { task_id: taskId, kind, attempt, worker_id: workerId, name } of rows) {
    try {
      const token = { taskId, attempt, workerId };
      if (await endAttempt(s, kindOf(kind, kinds), token, lostBy(name), { lease: 'expired' })) ended++;
    } catch (error) {
      // One task that cannot be ended must not keep the others waiting; it is tried again in the next round.
      s.log.error({ err: error, taskId, attempt }, 'a lost attempt could not be ended');
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
