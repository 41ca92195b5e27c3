import type { Services } from '../ground/context.js';
import { LIVE } from './fence.js';

export interface Count {
  labels: Record<string, string>;
  count: number;
}

/** How much work there is, for operators: of all projects. */
export interface WorkCounts {
  /** Tasks by kind, pool and status; those that have ended are left out. */
  tasks: Count[];
  workers: Count[];
  /** Attempts that have ended, by status and cause; those of runs that were removed, too. */
  attempts: Count[];
}

/** Counts tasks, workers and attempts as Postgres has them now. */
export async function countWork(s: Services): Promise<WorkCounts> {
  const count = async (sql: string): Promise<Count[]> => {
    const { rows } = await s.pg.query<Count>(sql);
    return rows;
  };
  const [tasks, workers, attempts] = await Promise.all([
    count(`SELECT jsonb_build_object('kind', kind, 'pool', pool, 'status', status) AS labels, count(*)::int AS count
      FROM tasks WHERE status NOT IN ('succeeded', 'failed', 'cancelled') GROUP BY kind, pool, status ORDER BY 1`),
    count(`SELECT jsonb_build_object('pool', pool, 'status', status) AS labels, count(*)::int AS count
      FROM workers GROUP BY pool, status ORDER BY 1`),
    count(`SELECT jsonb_build_object('status', status, 'cause', cause) AS labels, sum(count)::int AS count FROM (
        SELECT status, coalesce(cause, '') AS cause, count(*) FROM attempts WHERE status NOT IN ${LIVE} GROUP BY 1, 2
        UNION ALL SELECT status, cause, count FROM attempt_tallies
      ) ended GROUP BY status, cause ORDER BY 1`),
  ]);
  return { tasks, workers, attempts };
}
