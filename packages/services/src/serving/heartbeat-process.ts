import type { Services } from '../ground/context.js';
import { SIGN_OF_LIFE_MS } from '../ground/patience.js';
import type { WorkerDevice } from '../work/register-worker.js';
import { PROCESS_LEASE_MS } from './register-process.js';

/** What was trained and is resident in a process. */
export interface ResidentAdapter {
  sha256: string;
  /** Where it is: `slot` `host` `merged` `disk`. */
  kind: string;
  /** What it takes of memory. */
  bytes: number;
  /** Projects for which it keeps its place in memory. */
  pinnedBy: string[];
}

/** What a process says of itself. */
export interface ProcessNews {
  status: 'opening' | 'ready' | 'draining';
  /** Null until it listens. */
  address: string | null;
  device: WorkerDevice | null;
  /** Requests that it answers at the moment. */
  answering: number;
  adapters: readonly ResidentAdapter[];
}

/** Says that a process lives, and renews its lease; false where its row was given up: it registers again. */
export async function heartbeatProcess(
  s: Services,
  id: string,
  { status, address, device, answering, adapters }: ProcessNews,
): Promise<boolean> {
  const query = {
    text: `UPDATE inference_processes SET status = $2, address = $3, device = $4, answering = $5, adapters = $6, heartbeat_at = now(),
       lease_until = now() + $7 * interval '1 millisecond' WHERE id = $1 AND status NOT IN ('gone', 'failed')`,
    values: [
      id,
      status,
      address,
      device && JSON.stringify(device),
      answering,
      JSON.stringify(adapters),
      PROCESS_LEASE_MS,
    ],
    query_timeout: SIGN_OF_LIFE_MS,
  };
  const { rowCount } = await s.pg.query(query);
  return rowCount === 1;
}
