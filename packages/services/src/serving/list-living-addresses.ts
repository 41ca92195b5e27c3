import type { Services } from '../ground/context.js';
import { PROCESS_LEASE_MS } from './register-process.js';

/**
 * What a process may be silent for while it computes: one long prompt of a large base holds it up. `moraine up` ends it after as long. It is asked
 * nothing new from the end of its lease on.
 */
const SILENT_MS = 120_000;

/** Those of some addresses at which a process lives that was heard of in the last two minutes. */
export async function listLivingAddresses(s: Services, addresses: readonly string[]): Promise<Set<string>> {
  const { rows } = await s.pg.query<{ address: string }>(
    `SELECT address FROM inference_processes WHERE address = ANY($1) AND status IN ('ready', 'draining')
       AND lease_until > now() - $2 * interval '1 millisecond'`,
    [addresses, SILENT_MS - PROCESS_LEASE_MS],
  );
  return new Set(rows.map(({ address }) => address));
}
