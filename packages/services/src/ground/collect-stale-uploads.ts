import type { Services } from './context.js';

/** Nobody uploads one file for a day; what is older was left by a process that ended. */
const AGE_MS = 24 * 3_600_000;

/** Folders of blob storage that hold what arrived from callers. `.incoming` is where the file store writes before it renames. */
const SPOOLS = ['incoming', '.incoming'];

/** Folders with a folder for each row, and which rows keep theirs. What a failed download brought is of use for a day. */
const KEPT = {
  files: 'SELECT id FROM files WHERE id = ANY($1) AND deleted_at IS NULL',
  bases: 'SELECT id FROM bases WHERE id = ANY($1) AND deleted_at IS NULL',
  hub: `SELECT id FROM base_downloads WHERE id = ANY($1)
          AND (finished_at IS NULL OR finished_at > now() - interval '1 day')`,
};

/**
 * Removes what uploads left behind when their process ended: spooled bytes, and files and bases that were stored but never got their
 * row; also what downloads left that were deleted or failed long ago. Answers how many keys went.
 */
export async function collectStaleUploads(s: Services, ageMs = AGE_MS): Promise<number> {
  const before = Date.now() - ageMs;
  const stale: string[] = [];
  for (const prefix of SPOOLS) {
    for (const { path, modifiedAt } of await s.blobs.list(prefix))
      if (modifiedAt.getTime() < before) stale.push(`${prefix}/${path}`);
  }
  for (const [prefix, kept] of Object.entries(KEPT)) stale.push(...(await withoutRow(s, prefix, kept, before)));
  for (const key of stale) await s.blobs.remove(key);
  return stale.length;
}

/** Keys `<prefix>/<id>` older than `before` that no row keeps. */
async function withoutRow(s: Services, prefix: string, keptSql: string, before: number): Promise<string[]> {
  const entries = await s.blobs.list(prefix);
  const old = entries.filter((entry) => entry.modifiedAt.getTime() < before);
  const ids = [...new Set(old.map((entry) => entry.path.split('/')[0] ?? ''))];
  if (ids.length === 0) return [];
  const { rows } = await s.pg.query<{ id: string }>(keptSql, [ids]);
  const kept = new Set(rows.map((row) => row.id));
  return ids.filter((id) => !kept.has(id)).map((id) => `${prefix}/${id}`);
}
