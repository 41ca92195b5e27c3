import { newId } from '@moraine/contract';
import type { AttemptToken, Services } from '../ground/context.js';
import { fenced, TOKEN } from '../work/fence.js';

export interface NewExport {
  kind: 'adapter' | 'peft' | 'merged';
  /** Finished folder on this machine. */
  dir: string;
}

/** Stores what a run produced: the folders first, their rows last and together. Sending it twice is safe. @throws AppError `stale_attempt`. */
export async function recordExports(s: Services, token: AttemptToken, exports: readonly NewExport[]): Promise<void> {
  const rows: unknown[] = [];
  for (const { kind, dir } of exports) {
    const blob_key = `runs/${token.taskId}/attempts/${token.attempt}/exports/${kind}`;
    const { sizeBytes, sha256 } = await s.blobs.putDir(blob_key, dir);
    rows.push({ id: newId('adapter'), kind, blob_key, size_bytes: sizeBytes, sha256 });
  }
  await fenced(
    s,
    token,
    `WITH ${TOKEN}, stored AS (
       INSERT INTO adapters (id, project_id, run_id, attempt, kind, blob_key, size_bytes, sha256)
       SELECT i.id, token.project_id, token.id, $2, i.kind, i.blob_key, i.size_bytes, i.sha256
       FROM token CROSS JOIN json_to_recordset($4::json) AS i(id text, kind text, blob_key text, size_bytes bigint, sha256 text)
       ON CONFLICT (run_id, kind) DO UPDATE SET attempt = EXCLUDED.attempt, blob_key = EXCLUDED.blob_key, size_bytes = EXCLUDED.size_bytes,
         sha256 = EXCLUDED.sha256, created_at = now()
     )
     SELECT token.id FROM token`,
    [JSON.stringify(rows)],
  );
}
