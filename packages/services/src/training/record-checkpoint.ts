import { type CheckpointMetrics, newId } from '@moraine/contract';
import type { AttemptToken, Services } from '../ground/context.js';
import { fenced, TOKEN } from '../work/fence.js';
import { dropCheckpoints } from './drop-checkpoints.js';

export interface NewCheckpoint {
  step: number;
  /** Finished folder on this machine. */
  dir: string;
  metrics: CheckpointMetrics;
  /** Step of the best checkpoint of the run so far; null where none is kept as the best. */
  bestStep?: number | null;
}

/**
 * Stores the folder and then, last, its row: what is listed can be resumed from. Then the checkpoints that nothing needs any more lose their
 * files. Send it only after every event before it was stored. Sending it twice is safe.
 * @throws AppError `stale_attempt`.
 */
export async function recordCheckpoint(
  s: Services,
  token: AttemptToken,
  { step, dir, metrics, bestStep = null }: NewCheckpoint,
): Promise<{ id: string; sizeBytes: number }> {
  const blobKey = `runs/${token.taskId}/attempts/${token.attempt}/checkpoints/step-${step}`;
  const { sizeBytes, sha256 } = await s.blobs.putDir(blobKey, dir);
  const { id } = await fenced<{ id: string }>(
    s,
    token,
    `WITH ${TOKEN}
     INSERT INTO checkpoints (id, project_id, run_id, attempt, step, blob_key, size_bytes, sha256, metrics, best_step)
     SELECT $4, token.project_id, token.id, $2, $5, $6, $7, $8, $9, $10::int FROM token
     ON CONFLICT (run_id, step) DO UPDATE SET attempt = EXCLUDED.attempt, blob_key = EXCLUDED.blob_key, size_bytes = EXCLUDED.size_bytes,
       sha256 = EXCLUDED.sha256, metrics = EXCLUDED.metrics, best_step = EXCLUDED.best_step, created_at = now(), deleted_at = NULL
     RETURNING id`,
    [newId('checkpoint'), step, blobKey, sizeBytes, sha256, JSON.stringify(metrics), bestStep],
  );
  await dropCheckpoints(s, token.taskId);
  return { id, sizeBytes };
}
