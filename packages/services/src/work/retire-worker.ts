import type { Services } from '../ground/context.js';

/** The worker has ended on purpose. */
export async function retireWorker(s: Services, workerId: string): Promise<void> {
  await s.pg.query(`UPDATE workers SET status = 'gone', gone_at = now(), heartbeat_at = now() WHERE id = $1`, [
    workerId,
  ]);
}
