import { Readable } from 'node:stream';
import type { AttemptToken, Services } from '../ground/context.js';
import { fenced, TOKEN } from '../work/fence.js';

/**
 * Stores the run's table of steps as a file that the API lists under `result_files`. The caller chooses the id once (`newId('file')`), so
 * that sending it twice is safe. @throws AppError `stale_attempt`.
 */
export async function recordResultFile(
  s: Services,
  token: AttemptToken,
  { id, csv }: { id: string; csv: string },
): Promise<void> {
  const blobKey = `runs/${token.taskId}/attempts/${token.attempt}/step_metrics.csv`;
  if ((await s.blobs.size(blobKey)) !== null) await s.blobs.remove(blobKey);
  const { sizeBytes, sha256 } = await s.blobs.put(blobKey, Readable.from([csv]));
  await fenced(
    s,
    token,
    `WITH ${TOKEN}, file AS (
       INSERT INTO files (id, project_id, filename, purpose, size_bytes, sha256, blob_key, status)
       SELECT $4, token.project_id, 'step_metrics.csv', 'fine-tune-results', $5, $6, $7, 'processed' FROM token
       ON CONFLICT (id) DO UPDATE SET size_bytes = EXCLUDED.size_bytes, sha256 = EXCLUDED.sha256
     ), run AS (
       UPDATE runs r SET result_file_id = $4 FROM token WHERE r.id = token.id
     )
     SELECT token.id FROM token`,
    [id, sizeBytes, sha256, blobKey],
  );
}
