import type { TaskKind } from '@moraine/contract';
import type { Queryable } from '../ground/transaction.js';
import type { Kind } from '../work/kind.js';
import { settleVerdict } from './run-verdict.js';

/**
 * A run: one that ran out of memory is tried again with half the micro-batch and the same batch, and one without an attempt has no speed.
 */
export const trainKind: Kind & { name: TaskKind } = {
  name: 'train',
  noun: 'run',
  keeps: 'checkpoint',
  async lessMemory(client, runId) {
    const { batchSize, accumulation } = await readBatch(client, runId);
    // Rows are laid out in about so many parts, whether these are equal or not; one row is the smallest.
    if (2 * accumulation > batchSize) return null;
    return `micro-batches half as large (accumulation ${2 * accumulation}); the batch stays the same`;
  },
  async ended(client, runId, verdict) {
    await client.query('UPDATE runs SET tokens_per_second = NULL WHERE id = $1', [runId]);
    if (verdict === 'failed' || verdict === 'cancelled') await settleVerdict(client, runId);
    if (verdict !== 'retry_smaller') return;
    const { accumulation } = await readBatch(client, runId);
    await client.query(
      `UPDATE runs SET config = jsonb_set(config, '{accumulation}', to_jsonb($2::int)) WHERE id = $1`,
      [runId, 2 * accumulation],
    );
  },
};

async function readBatch(client: Queryable, runId: string): Promise<{ batchSize: number; accumulation: number }> {
  const { rows } = await client.query<{ batchSize: number; accumulation: number }>(
    `SELECT coalesce((config ->> 'batch_size')::int, 1) AS "batchSize", coalesce((config ->> 'accumulation')::int, 1) AS accumulation
     FROM runs WHERE id = $1`,
    [runId],
  );
  return rows[0] ?? { batchSize: 1, accumulation: 1 };
}
