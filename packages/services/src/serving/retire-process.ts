import type { Services } from '../ground/context.js';

/** A process has ended: on purpose, or because of `reason`, which those who wait for it are told. Its secret ends with it. */
export async function retireProcess(s: Services, id: string, reason: string | null = null): Promise<void> {
  await s.pg.query(
    `UPDATE inference_processes SET status = $2, status_reason = $3, secret = '', answering = 0, adapters = '[]', heartbeat_at = now(),
       lease_until = now() WHERE id = $1`,
    [id, reason === null ? 'gone' : 'failed', reason],
  );
}
