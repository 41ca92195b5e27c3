import { type CheckpointMetrics, newId } from '@moraine/contract';
import type { AttemptToken, Services } from '../ground/context.js';
import { fenced, TOKEN } from '../work/fence.js';

export interface NewCheckpoint {
  step: number;
  /** Finished folder on this machine. */
  dir: string;
  metrics: CheckpointMetrics;
  /** Step of the best checkpoint of the run so far; null where none is kept as the best. */
  bestStep?: number | null;
}

/**
 * Stores the folder and then, last, its row: what is listed can be resumed from. Older checkpoints beyond the run's `keep_last` lose
 * their files and keep their rows, save those that one of the last knows as the best: whichever a run goes on from, its best is there. Send it only after every event before it was stored. Sending it twice is safe.
 * @throws AppError `stale_attempt`.
 */
export async function recordCheckpoint(
  s: Services,
  token: AttemptToken,
  { step, dir, metrics, bestStep = null }: NewCheckpoint,
): Promise<{ id: string; sizeBytes: number }> {
  const blobKey = `runs/${token.taskId}/attempts/${token.attempt}/checkpoints/step-${step}`;
  const { sizeBytes, sha256 } = await s.blobs.putDir(blobKey, dir);
  const row = await fenced<{ id: string; dropped: string[] }>(
    s,
    token,
    `WITH ${TOKEN}, checkpoint AS (
       INSERT INTO checkpoints (id, project_id, run_id, attempt, step, blob_key, size_bytes, sha256, metrics, best_step)
       SELECT $4, token.project_id, token.id, $2, $5, $6, $7, $8, $9, $10::int FROM token
       ON CONFLICT (run_id, step) DO UPDATE SET attempt = EXCLUDED.attempt, blob_key = EXCLUDED.blob_key, size_bytes = EXCLUDED.size_bytes,
         sha256 = EXCLUDED.sha256, metrics = EXCLUDED.metrics, best_step = EXCLUDED.best_step, created_at = now(), deleted_at = NULL
       RETURNING id, run_id
     ), earlier AS (
       SELECT c.id, c.step, c.best_step, row_number() OVER (ORDER BY c.step DESC) < (r.config -> 'checkpoint' ->> 'keep_last')::int AS is_last
       FROM checkpoints c JOIN token ON c.run_id = token.id JOIN runs r ON r.id = token.id
       WHERE c.deleted_at IS NULL AND c.step < $5
     ), dropped AS (
       UPDATE checkpoints c SET deleted_at = now() FROM earlier
       WHERE c.id = earlier.id AND NOT earlier.is_last AND earlier.step IS DISTINCT FROM $10::int
         AND NOT EXISTS (SELECT 1 FROM runs o JOIN tasks t ON t.id = o.id WHERE o.start_checkpoint_id = c.id AND t.finished_at IS NULL)
         AND NOT EXISTS (SELECT 1 FROM earlier l WHERE l.is_last AND l.best_step = earlier.step)
       RETURNING c.blob_key
     )
     SELECT checkpoint.id, coalesce((SELECT json_agg(blob_key) FROM dropped), '[]') AS dropped FROM checkpoint`,
    [newId('checkpoint'), step, blobKey, sizeBytes, sha256, JSON.stringify(metrics), bestStep],
  );
  for (const key of row.dropped) {
    await s.blobs
      .remove(key)
      .catch((error: unknown) => s.log.warn({ err: error, key }, 'an old checkpoint stays until it is collected'));
  }
  return { id: row.id, sizeBytes };
}
