import type { WorkerStatus } from '@moraine/contract';
import type { Services } from '../ground/context.js';
import { SIGN_OF_LIFE_MS } from '../ground/patience.js';
import type { WorkerDevice } from './register-worker.js';

export interface Heartbeat {
  status: Extract<WorkerStatus, 'ready' | 'busy' | 'draining' | 'unhealthy'>;
  statusReason?: string | null;
  device?: WorkerDevice;
}

/** What somebody asks of a worker: to take nothing new, or to end. */
export type WorkerWish = 'cordon' | 'drain';

/**
 * Says that a worker lives and what it does; one that was given up for lost is back. Returns what is asked of it; null when its row is gone: register
 * again.
 */
export async function heartbeatWorker(
  s: Services,
  workerId: string,
  { status, statusReason, device }: Heartbeat,
): Promise<{ asked: WorkerWish | null } | null> {
  const query = {
    text: `UPDATE workers SET heartbeat_at = now(), status = CASE WHEN asked IS NULL OR $2 NOT IN ('ready', 'busy') THEN $2 WHEN asked = 'drain' THEN 'draining' ELSE 'cordoned' END,
       status_reason = $3, device = coalesce($4::jsonb, device)
     WHERE id = $1 AND gone_at IS NULL RETURNING asked`,
    values: [workerId, status, statusReason ?? null, device ? JSON.stringify(device) : null],
    query_timeout: SIGN_OF_LIFE_MS,
  };
  const { rows } = await s.pg.query<{ asked: WorkerWish | null }>(query);
  return rows[0] ?? null;
}
