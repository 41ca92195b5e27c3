import type { PoolObject } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { type Page, toPage } from '../ground/paging.js';
import { prepared } from '../ground/prepared.js';
import { SHOWN } from './list-workers.js';
import { WAITING_SINCE } from './waiting-reason.js';

const NO_WORKERS = { registering: 0, ready: 0, busy: 0, cordoned: 0, draining: 0, unhealthy: 0, lost: 0 };

interface Row extends Pick<PoolObject, 'queued' | 'runnable' | 'running' | 'paused' | 'oldest_wait_s'> {
  pool: string;
  workers: Partial<PoolObject['workers']>;
}

/** Stored times are rounded to milliseconds, so one of this moment may lie half a one ahead. */
const RUNNABLE = `status = 'queued' AND queued_at <= now() + interval '1 millisecond'`;

const POOLS = `
  WITH of_workers AS (
    SELECT pool, jsonb_object_agg(status, n) AS workers FROM (
      SELECT w.pool, w.status, count(*) AS n FROM workers w WHERE ${SHOWN} AND ($1::text IS NULL OR w.pool = $1) GROUP BY w.pool, w.status
    ) counted GROUP BY pool
  ), of_tasks AS (
    SELECT pool, count(*) FILTER (WHERE status = 'queued') AS queued, count(*) FILTER (WHERE ${RUNNABLE}) AS runnable,
      count(*) FILTER (WHERE status = 'running') AS running, count(*) FILTER (WHERE status = 'paused') AS paused,
      greatest(0, extract(epoch FROM now() - min(${WAITING_SINCE}) FILTER (WHERE ${RUNNABLE}))) AS oldest_wait_s
    FROM tasks WHERE finished_at IS NULL AND deleted_at IS NULL AND ($1::text IS NULL OR pool = $1) GROUP BY pool
  ), asked AS (SELECT $1::text AS pool WHERE $1 IS NOT NULL)
  SELECT pool, coalesce(workers, '{}') AS workers, coalesce(queued, 0)::int AS queued, coalesce(runnable, 0)::int AS runnable,
    coalesce(running, 0)::int AS running, coalesce(paused, 0)::int AS paused, coalesce(oldest_wait_s, 0)::float8 AS oldest_wait_s
  FROM of_workers FULL JOIN of_tasks USING (pool) FULL JOIN asked USING (pool) ORDER BY pool`;

/**
 * Pools that have workers, or tasks that have not ended, of all projects: workers are shared. With `pool` that one, with zeros where it has nothing, so
 * that what scales by it finds a number always.
 */
export async function listPools(
  s: Services,
  _actor: Actor,
  { pool }: { pool?: string } = {},
): Promise<Page<PoolObject>> {
  const { rows } = await s.pg.query<Row>(prepared(POOLS, [pool ?? null]));
  return toPage(rows.map(toPoolObject), rows.length);
}

function toPoolObject({ pool, workers: counted, ...tasks }: Row): PoolObject {
  const workers = { ...NO_WORKERS, ...counted };
  return {
    id: pool,
    object: 'pool',
    workers,
    ...tasks,
    slots_free: workers.ready,
    desired: tasks.running + tasks.runnable,
  };
}
