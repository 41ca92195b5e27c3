import type { QueueEntry } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import type { TaskModel } from '../ground/generated/models.js';
import { cursorOrThrow, type Page, toPage } from '../ground/paging.js';
import { RUN_NAME } from '../training/run-query.js';
import { explainWaiting, waitingSince } from '../work/waiting-reason.js';

export interface ListQueue {
  limit: number;
  after?: string;
  pool?: string;
}

type Row = Pick<TaskModel, 'id' | 'kind' | 'pool' | 'priority' | 'status' | 'attempt' | 'stateReason' | 'queuedAt'> & {
  runId: string | null;
  name: string;
  reached: string;
};

/** The order of a pool's queue. A task's place in it stays known when it has left the queue. */
const PLACE = '(t.pool, -t.priority, t.queued_at, t.id)';

/** What waits for a worker in the caller's project, pool by pool, in the order of each; places count the tasks of all projects. */
export async function listQueue(
  s: Services,
  actor: Actor,
  { limit, after, pool }: ListQueue,
): Promise<Page<QueueEntry>> {
  const values: unknown[] = [actor.projectId, limit + 1];
  const put = (value: unknown): string => `$${values.push(value)}`;
  const conditions = [`t.project_id = $1 AND t.status = 'queued' AND t.deleted_at IS NULL`];
  if (pool !== undefined) conditions.push(`t.pool = ${put(pool)}`);
  if (after !== undefined) conditions.push(`${PLACE} > ${await placeOf(s, actor, after, put)}`);
  const { rows } = await s.pg.query<Row>(
    `SELECT t.id, t.kind, t.pool, t.priority, t.status, t.attempt, t.state_reason AS "stateReason", t.queued_at AS "queuedAt",
       r.id AS "runId", coalesce(${RUN_NAME}, e.suite || ' of ' || e.model, a.kind || ' of ' || a.model, t.id) AS name,
       CASE WHEN e.id IS NOT NULL THEN concat('item ', e.done) WHEN a.id IS NOT NULL THEN concat('row ', a.done)
         ELSE concat('step ', coalesce(r.step, 0)) END AS reached
     FROM tasks t LEFT JOIN verifications v ON v.id = t.id LEFT JOIN runs r ON r.id = coalesce(v.run_id, t.id)
       LEFT JOIN evaluation_tasks e ON e.id = t.id LEFT JOIN analysis_tasks a ON a.id = t.id
     WHERE ${conditions.join(' AND ')} ORDER BY t.pool, t.priority DESC, t.queued_at, t.id LIMIT $2`,
    values,
  );
  const waiting = await explainWaiting(s, rows);
  const entries = rows.flatMap((row) => {
    const why = waiting.get(row.id);
    return why ? [toQueueEntry(row, why)] : [];
  });
  return toPage(entries, limit);
}

async function placeOf(s: Services, actor: Actor, after: string, put: (value: unknown) => string): Promise<string> {
  const { rows } = await s.pg.query<{ id: string }>('SELECT id FROM tasks WHERE id = $1 AND project_id = $2', [
    after,
    actor.projectId,
  ]);
  const { id } = cursorOrThrow(rows[0] ?? null, after);
  return `(SELECT t.pool, -t.priority, t.queued_at, t.id FROM tasks t WHERE t.id = ${put(id)})`;
}

const toQueueEntry = (row: Row, { ahead, reason }: { ahead: number; reason: QueueEntry['reason'] }): QueueEntry => ({
  id: row.id,
  object: 'queue.entry',
  kind: row.kind,
  run_id: row.runId,
  name: row.name,
  pool: row.pool,
  priority: row.priority,
  position: ahead + 1,
  queued_at: waitingSince(row),
  attempt: row.attempt,
  reason,
});
