import type { Services } from '../ground/context.js';

/** Nobody answers at the address of a process: it is not asked again. One that lives registers anew with its next heartbeat. */
export async function loseProcess(s: Services, id: string): Promise<void> {
  await s.pg.query(
    `UPDATE inference_processes SET status = 'gone', status_reason = 'Nobody answered at its address.', secret = '', lease_until = now()
     WHERE id = $1 AND status <> 'failed'`,
    [id],
  );
}
