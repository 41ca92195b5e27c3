import type { WorkerStatus } from '@moraine/contract';
import type { Services } from '../ground/context.js';
import { SIGN_OF_LIFE_MS } from '../ground/patience.js';
import type { WorkerDevice } from './register-worker.js';

export interface Heartbeat {
  status: Extract<WorkerStatus, 'ready' | 'busy' | 'draining' | 'unhealthy'>;
  statusReason?: string | null;
  device?: WorkerDevice;
}

/** Says that a worker lives and what it does; one that was given up for lost is back. Answers false when its row is gone: register again. */
export async function heartbeatWorker(
  s: Services,
  workerId: string,
  { status, statusReason, device }: Heartbeat,
): Promise<boolean> {
  const query = {
    text: `UPDATE workers SET heartbeat_at = now(), status = CASE WHEN status = 'cordoned' AND $2 <> 'draining' THEN status ELSE $2 END,
       status_reason = $3, device = coalesce($4::jsonb, device)
     WHERE id = $1 AND gone_at IS NULL`,
    values: [workerId, status, statusReason ?? null, device ? JSON.stringify(device) : null],
    query_timeout: SIGN_OF_LIFE_MS,
  };
  const { rowCount } = await s.pg.query(query);
  return (rowCount ?? 0) > 0;
}
