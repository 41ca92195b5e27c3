import type { Services } from '../ground/context.js';

/** Those of some addresses at which a process lives that has renewed its lease. */
export async function listLivingAddresses(s: Services, addresses: readonly string[]): Promise<Set<string>> {
  const { rows } = await s.pg.query<{ address: string }>(
    `SELECT address FROM inference_processes WHERE address = ANY($1) AND status IN ('ready', 'draining') AND lease_until > now()`,
    [addresses],
  );
  return new Set(rows.map(({ address }) => address));
}
