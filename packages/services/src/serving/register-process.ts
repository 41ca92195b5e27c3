import { newId } from '@moraine/contract';
import type { Services } from '../ground/context.js';

export interface NewProcess {
  baseSha256: string;
  /** What the API says to be let in. Whoever reads this table belongs to the cluster. */
  secret: string;
  host: string;
  pid: number;
  version: string;
  /** Answers that it writes side by side. */
  rows: number;
}

/** Without a heartbeat for so long a process is not asked any more. */
export const PROCESS_LEASE_MS = 15_000;

/** Makes known a process that begins to open a base; returns its id. It answers from its first heartbeat on. What ended more than a day ago is forgotten. */
export async function registerProcess(s: Services, one: NewProcess): Promise<string> {
  const id = newId('inference');
  await s.pg.query(`DELETE FROM inference_processes WHERE lease_until < now() - interval '1 day'`);
  await s.pg.query(
    `INSERT INTO inference_processes (id, base_sha256, status, secret, host, pid, version, rows, lease_until)
     VALUES ($1, $2, 'opening', $3, $4, $5, $6, $7, now() + $8 * interval '1 millisecond')`,
    [id, one.baseSha256, one.secret, one.host, one.pid, one.version, one.rows, PROCESS_LEASE_MS],
  );
  return id;
}
