import type { Services } from '../ground/context.js';
import { streamKey } from '../ground/publish.js';
import { inTransaction } from '../ground/transaction.js';
import { LIVE } from '../work/fence.js';

/** Runs that a round looks at. */
const RUNS = 20;
const PAGE = 5_000;
/** What a round spends on it; the next one goes on. */
const BUDGET_MS = 1_000;

/** What a run may have very many of, as a statement that removes a page of it: $1 is the run, $2 the page. */
const MANY = [
  `DELETE FROM metric_points WHERE (series_id, step) IN (
     SELECT p.series_id, p.step FROM metric_series m JOIN metric_points p ON p.series_id = m.id WHERE m.run_id = $1 LIMIT $2)`,
  `DELETE FROM metric_rollups WHERE (series_id, bucket) IN (
     SELECT u.series_id, u.bucket FROM metric_series m JOIN metric_rollups u ON u.series_id = m.id WHERE m.run_id = $1 LIMIT $2)`,
  ...['log_lines', 'events'].map(
    (table) => `DELETE FROM ${table} WHERE (task_id, seq) IN (
     SELECT o.task_id, o.seq FROM ${table} o WHERE o.task_id = ANY (ARRAY(SELECT $1 UNION ALL SELECT id FROM verifications WHERE run_id = $1)) LIMIT $2)`,
  ),
];

/**
 * Removes deleted runs whose time to be restored is over: their bytes, then their rows a page at a time, then the run itself. What a round has no time for, or
 * what a disk refuses, the next one goes on with. Returns how many are gone.
 */
export async function purgeDeleted(s: Services, { budgetMs = BUDGET_MS, page = PAGE } = {}): Promise<number> {
  const until = performance.now() + budgetMs;
  const { rows } = await s.pg.query<{ id: string }>(
    `SELECT id FROM tasks WHERE deleted_at IS NOT NULL AND (purge_at IS NULL OR purge_at <= now()) ORDER BY random() LIMIT $1`,
    [RUNS],
  );
  let gone = 0;
  for (const { id } of rows) {
    if (performance.now() >= until) break;
    try {
      if ((await begin(s, id)) && (await purge(s, id, page, until))) gone++;
    } catch (error) {
      s.log.warn({ err: error, runId: id }, 'a deleted run could not be removed now; it is tried again');
    }
  }
  if (gone > 0) s.log.info({ runs: gone }, 'deleted runs were removed for good');
  return gone;
}

/** From here on it cannot be restored: one statement that waits for a restoration, or is waited for by one. False when it was restored. */
async function begin(s: Services, id: string): Promise<boolean> {
  const { rowCount } = await s.pg.query(
    `UPDATE tasks SET purge_at = NULL WHERE id = $1 AND deleted_at IS NOT NULL AND (purge_at IS NULL OR purge_at <= now())`,
    [id],
  );
  return rowCount === 1;
}

/** False when there was no time for all of it. */
async function purge(s: Services, id: string, page: number, until: number): Promise<boolean> {
  await s.blobs.remove(`runs/${id}`);
  for (const statement of MANY) {
    for (;;) {
      const { rowCount } = await s.pg.query(statement, [id, page]);
      if ((rowCount ?? 0) < page) break;
      if (performance.now() >= until) return false;
    }
  }
  await removeRun(s, id);
  const key = streamKey(s, id);
  await s.redisLink.tell('The removal of a stream', () => s.redis.unlink(key, `${key}:fence`));
  return true;
}

/** The rows that are left; others refer to them by keys that let go or follow. */
async function removeRun(s: Services, id: string): Promise<void> {
  await inTransaction(s, async (client) => {
    const { rows } = await client.query<{ id: string }>(
      'SELECT $1 AS id UNION ALL SELECT id FROM verifications WHERE run_id = $1',
      [id],
    );
    const ids = rows.map((row) => row.id);
    await client.query(
      `INSERT INTO attempt_tallies (status, cause, count)
       SELECT status, coalesce(cause, ''), count(*) FROM attempts WHERE task_id = ANY ($1) AND status NOT IN ${LIVE} GROUP BY 1, 2
       ON CONFLICT (status, cause) DO UPDATE SET count = attempt_tallies.count + EXCLUDED.count`,
      [ids],
    );
    await client.query(`DELETE FROM files f USING runs r WHERE r.id = $1 AND f.id = r.result_file_id`, [id]);
    await client.query('DELETE FROM tasks WHERE id = ANY ($1)', [ids]);
  });
}
