import type { Services } from '../ground/context.js';
import { inTransaction } from '../ground/transaction.js';

/**
 * Checkpoints that nothing needs, of `tasks t` and `runs r` that a condition chooses. A run keeps its last N; its N of lowest validation
 * loss; those that one of its last knows as the best, so that whichever it goes on from, its best is there; and the one that its result
 * is of. One that a run which has not ended is to start from, or an evaluation or analysis which has not ended is about, or one of which is still to be made, is in use, and all of a run that is being
 * verified are.
 */
const unneeded = (chosen: string): string => `
  kept AS (
    SELECT c.id, c.run_id, c.step, c.sha256, c.best_step, r.result_step,
      row_number() OVER (PARTITION BY c.run_id ORDER BY c.step DESC) <= (r.config #>> '{checkpoint,keep_last}')::int AS is_last,
      c.metrics ->> 'valid_loss' IS NOT NULL AND row_number() OVER (
        PARTITION BY c.run_id ORDER BY (c.metrics ->> 'valid_loss')::float8 NULLS LAST, c.step DESC
      ) <= CASE coalesce(r.config #>> '{checkpoint,keep_best}', 'false')
        WHEN 'false' THEN 0 WHEN 'true' THEN 1 ELSE (r.config #>> '{checkpoint,keep_best}')::int END AS is_best
    FROM checkpoints c JOIN runs r ON r.id = c.run_id JOIN tasks t ON t.id = r.id WHERE c.deleted_at IS NULL AND ${chosen}
  ), unneeded AS (
    SELECT k.id, k.run_id FROM kept k
    WHERE NOT k.is_last AND NOT k.is_best AND k.step IS DISTINCT FROM k.result_step
      AND NOT EXISTS (SELECT 1 FROM kept l WHERE l.run_id = k.run_id AND l.is_last AND l.best_step = k.step)
      AND NOT EXISTS (SELECT 1 FROM runs o JOIN tasks ot ON ot.id = o.id WHERE o.start_checkpoint_id = k.id AND ot.finished_at IS NULL)
      AND NOT EXISTS (SELECT 1 FROM evaluation_tasks e JOIN tasks et ON et.id = e.id WHERE e.checkpoint_id = k.id AND et.finished_at IS NULL)
      AND NOT EXISTS (SELECT 1 FROM analysis_tasks a JOIN tasks nt ON nt.id = a.id WHERE a.checkpoint_id = k.id AND nt.finished_at IS NULL)
      AND NOT EXISTS (SELECT 1 FROM runs o
        CROSS JOIN LATERAL jsonb_array_elements(o.config #> '{evaluation,suites}') WITH ORDINALITY AS x(suite, place)
        WHERE o.id = k.run_id AND o.suites_open AND x.suite -> 'when' ? 'during' AND NOT EXISTS (
          SELECT 1 FROM evaluation_tasks e WHERE e.for_run_id = o.id AND e.suite_place = x.place - 1 AND e.tuned_step = k.step
            AND e.tuned_sha256 = k.sha256))
      AND NOT EXISTS (SELECT 1 FROM runs o
        CROSS JOIN LATERAL jsonb_array_elements(o.config #> '{evaluation,analyses}') WITH ORDINALITY AS x(asked, place)
        WHERE o.id = k.run_id AND o.analyses_open AND x.asked -> 'when' ? 'during' AND NOT EXISTS (
          SELECT 1 FROM analysis_tasks a WHERE a.for_run_id = o.id AND a.place = x.place - 1 AND a.tuned_step = k.step
            AND a.tuned_sha256 = k.sha256))
      AND NOT EXISTS (SELECT 1 FROM verifications v JOIN tasks vt ON vt.id = v.id WHERE v.run_id = k.run_id AND vt.finished_at IS NULL)
  )`;

/**
 * The checkpoints of a run that nothing needs any more lose their files and keep their rows. Returns how many did.
 *
 * Who begins to use one takes a lock that this waits for or passes by: a run that starts from one holds the checkpoint's row
 * (`holdStart`), a verification the task's. What is in use is asked in a statement of its own once the locks are held: one statement that
 * waits for a lock still decides by what it saw before it waited.
 */
export async function dropCheckpoints(s: Services, runId: string): Promise<number> {
  const dropped = await inTransaction(s, async (client) => {
    await client.query('SELECT 1 FROM tasks WHERE id = $1 FOR NO KEY UPDATE', [runId]);
    const { rows: free } = await client.query<{ id: string }>(
      'SELECT id FROM checkpoints WHERE run_id = $1 AND deleted_at IS NULL FOR UPDATE SKIP LOCKED',
      [runId],
    );
    const { rows } = await client.query<{ blob_key: string }>(
      `WITH ${unneeded('c.run_id = $1')}
       UPDATE checkpoints c SET deleted_at = now() FROM unneeded u WHERE c.id = u.id AND c.id = ANY ($2) RETURNING c.blob_key`,
      [runId, free.map(({ id }) => id)],
    );
    return rows;
  });
  for (const { blob_key: key } of dropped) {
    await s.blobs
      .remove(key)
      .catch((error: unknown) => s.log.warn({ err: error, key }, 'an old checkpoint stays until it is collected'));
  }
  return dropped.length;
}

/** Runs of a round. */
const PAGE = 200;

/** Drops what runs that have ended kept for others: a run that started from a checkpoint and has ended, a verification. */
export async function collectCheckpoints(s: Services): Promise<number> {
  const { rows } = await s.pg.query<{ run_id: string }>(
    `WITH ${unneeded('t.finished_at IS NOT NULL')} SELECT DISTINCT run_id FROM unneeded LIMIT ${PAGE}`,
  );
  let dropped = 0;
  for (const { run_id } of rows) dropped += await dropCheckpoints(s, run_id);
  return dropped;
}
