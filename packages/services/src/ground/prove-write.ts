import type pg from 'pg';

/**
 * Writes to Postgres and waits until that is on its disk: a server that only reads (a standby, a failover under way) or whose disk is
 * full can still be asked things. @throws what the driver says, at the latest after `withinMs`.
 */
export async function proveWrite(client: Pick<pg.ClientBase, 'query'>, withinMs: number): Promise<void> {
  const query = {
    text: 'INSERT INTO write_proofs (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET at = now()',
    query_timeout: withinMs,
  };
  await client.query(query);
}
