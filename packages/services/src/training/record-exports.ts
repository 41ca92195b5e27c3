import { type ExportKind, type ExportReport, newId } from '@moraine/contract';
import type { AttemptToken, Services } from '../ground/context.js';
import { fenced, TOKEN } from '../work/fence.js';

export interface NewExport {
  kind: ExportKind;
  /** Finished folder on this machine; null for what is made when it is asked for. */
  dir: string | null;
  sizeBytes?: number;
  report?: ExportReport;
}

/** Stores what a run produced: the folders first, their rows last and together. Sending it twice is safe. @throws AppError `stale_attempt`. */
export async function recordExports(s: Services, token: AttemptToken, exports: readonly NewExport[]): Promise<void> {
  const rows: unknown[] = [];
  for (const { kind, dir, sizeBytes: size_bytes = 0, report = null } of exports) {
    const row = { id: newId('adapter'), kind, report, size_bytes, blob_key: null, sha256: null };
    if (dir === null) {
      rows.push(row);
      continue;
    }
    const blob_key = `runs/${token.taskId}/attempts/${token.attempt}/exports/${kind}`;
    const { sizeBytes, sha256 } = await s.blobs.putDir(blob_key, dir);
    rows.push({ ...row, blob_key, size_bytes: sizeBytes, sha256 });
  }
  await fenced(
    s,
    token,
    `WITH ${TOKEN}, stored AS (
       INSERT INTO adapters (id, project_id, run_id, attempt, kind, blob_key, size_bytes, sha256, report)
       SELECT i.id, token.project_id, token.id, $2, i.kind, i.blob_key, i.size_bytes, i.sha256, i.report
       FROM token CROSS JOIN json_to_recordset($4::json) AS i(id text, kind text, blob_key text, size_bytes bigint, sha256 text, report jsonb)
       ON CONFLICT (run_id, kind) DO UPDATE SET attempt = EXCLUDED.attempt, blob_key = EXCLUDED.blob_key, size_bytes = EXCLUDED.size_bytes,
         sha256 = EXCLUDED.sha256, report = EXCLUDED.report, created_at = now()
     )
     SELECT token.id FROM token`,
    [JSON.stringify(rows)],
  );
}
