import type { Services } from './context.js';

/** Nobody uploads one file for a day; what is older was left by a process that ended. */
const AGE_MS = 24 * 3_600_000;

/** Folders of blob storage that hold what arrived from callers. `.incoming` is where the file store writes before it renames. */
const SPOOLS = ['incoming', '.incoming'];

/**
 * Removes what uploads left behind when their process ended: spooled bytes, and files and bases that were stored but never got their
 * row. Answers how many keys went.
 */
export async function collectStaleUploads(s: Services, ageMs = AGE_MS): Promise<number> {
  const before = Date.now() - ageMs;
  const stale: string[] = [];
  for (const prefix of SPOOLS) {
    for (const { path, modifiedAt } of await s.blobs.list(prefix))
      if (modifiedAt.getTime() < before) stale.push(`${prefix}/${path}`);
  }
  stale.push(...(await withoutRow(s, 'files', before)), ...(await withoutRow(s, 'bases', before)));
  for (const key of stale) await s.blobs.remove(key);
  return stale.length;
}

/** Keys `<table>/<id>` older than `before` whose row is missing or says deleted. */
async function withoutRow(s: Services, table: 'files' | 'bases', before: number): Promise<string[]> {
  const entries = await s.blobs.list(table);
  const old = entries.filter((entry) => entry.modifiedAt.getTime() < before);
  const ids = [...new Set(old.map((entry) => entry.path.split('/')[0] ?? ''))];
  if (ids.length === 0) return [];
  const { rows } = await s.pg.query<{ id: string }>(
    `SELECT id FROM ${table} WHERE id = ANY($1) AND deleted_at IS NULL`,
    [ids],
  );
  const kept = new Set(rows.map((row) => row.id));
  return ids.filter((id) => !kept.has(id)).map((id) => `${table}/${id}`);
}
