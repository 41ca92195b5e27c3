import type { StateReason } from '@moraine/contract';
import type { Services } from '../ground/context.js';
import type { RunModel } from '../ground/generated/models.js';
import { toSeconds } from '../ground/time.js';

/** A worker that was silent for longer than this is not counted on. */
const HEARTBEAT_S = 20;

interface PoolRow {
  pool: string;
  busy: number;
  free: number;
  unhealthy: number;
  unhealthy_reason: string | null;
}

interface PlaceRow {
  id: string;
  ahead: number;
}

type Waiting = Pick<RunModel, 'id' | 'pool' | 'status' | 'attempt' | 'step' | 'stateReason' | 'queuedAt'>;

/** Why each queued run waits, worked out when it is read: workers and the runs ahead change without the run's row changing. */
export async function waitingReasons(s: Services, runs: readonly Waiting[]): Promise<Map<string, StateReason>> {
  const queued = runs.filter((run) => run.status === 'queued');
  if (queued.length === 0) return new Map();
  const names = [...new Set(queued.map((run) => run.pool))];
  const [pools, places] = await Promise.all([
    s.pg.query<PoolRow>(
      `SELECT pool,
         count(*) FILTER (WHERE status IN ('busy', 'draining', 'cordoned'))::int AS busy,
         count(*) FILTER (WHERE status = 'ready')::int AS free,
         count(*) FILTER (WHERE status = 'unhealthy')::int AS unhealthy,
         max(status_reason) FILTER (WHERE status = 'unhealthy') AS unhealthy_reason
       FROM workers WHERE pool = ANY($1) AND heartbeat_at > now() - $2 * interval '1 second' GROUP BY pool`,
      [names, HEARTBEAT_S],
    ),
    s.pg.query<PlaceRow>(
      `SELECT id, ahead FROM (
         SELECT id, (row_number() OVER (PARTITION BY pool ORDER BY priority DESC, queued_at, id) - 1)::int AS ahead
         FROM runs WHERE status = 'queued' AND deleted_at IS NULL AND pool = ANY($1)) places
       WHERE id = ANY($2)`,
      [names, queued.map((run) => run.id)],
    ),
  ]);
  return new Map(
    queued.map((run) => {
      const pool = pools.rows.find((row) => row.pool === run.pool);
      const ahead = places.rows.find((row) => row.id === run.id)?.ahead ?? 0;
      return [run.id, { ...explain(run, pool, ahead), since: toSeconds(run.queuedAt) }];
    }),
  );
}

function explain(run: Waiting, pool: PoolRow | undefined, ahead: number): Omit<StateReason, 'since'> {
  const earlier = run.stateReason as StateReason | null;
  const resuming = run.attempt > 0 ? ` It goes on after attempt ${run.attempt}, which reached step ${run.step}.` : '';
  const workers = (pool?.busy ?? 0) + (pool?.free ?? 0);
  if (workers === 0 && pool && pool.unhealthy > 0) {
    return {
      code: 'unhealthy_worker',
      message: `${count(pool.unhealthy, 'worker')} of pool '${run.pool}' cannot train: ${pool.unhealthy_reason ?? 'no reason given'}${resuming}`,
    };
  }
  if (workers === 0) {
    const start = run.pool === 'default' ? 'npm start' : `MORAINE_POOL=${run.pool} npm start`;
    return { code: 'no_worker', message: `No worker of pool '${run.pool}' is alive. Start one: ${start}.${resuming}` };
  }
  if (run.attempt > 0 && run.queuedAt > new Date() && earlier) return { code: earlier.code, message: earlier.message };
  const queue = ahead === 0 ? 'this run is next' : `${count(ahead, 'run')} ${ahead === 1 ? 'is' : 'are'} ahead`;
  if (pool && pool.free === 0) {
    return {
      code: 'no_free_worker',
      message: `${count(pool.busy, 'worker')} of pool '${run.pool}' ${pool.busy === 1 ? 'is' : 'are'} busy; ${queue}.${resuming}`,
    };
  }
  if (run.attempt > 0)
    return {
      code: 'resuming',
      message: `A free worker of pool '${run.pool}' is about to take it; ${queue}.${resuming}`,
    };
  return { code: 'waiting', message: `A free worker of pool '${run.pool}' is about to take a run; ${queue}.` };
}

const count = (n: number, noun: string): string => `${n} ${noun}${n === 1 ? '' : 's'}`;
