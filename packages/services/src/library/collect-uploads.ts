import type { Services } from '../ground/context.js';
import { partsPrefix } from './part-upload.js';

/** Folders of uploads without a pending row that are older than this are nobody's. */
const AGE_MS = 3_600_000;
const PAGE = 200;

/** Gives up uploads past their time, and removes parts that a crash left behind. Returns how many folders went. */
export async function collectUploads(s: Services, ageMs = AGE_MS): Promise<number> {
  const { rows: expired } = await s.pg.query<{ id: string }>(
    `WITH late AS (
       UPDATE uploads SET status = 'expired' WHERE id IN (
         SELECT id FROM uploads WHERE status = 'pending' AND expires_at < now() ORDER BY expires_at LIMIT $1)
       RETURNING id
     ), parts AS (
       DELETE FROM upload_parts p USING late WHERE p.upload_id = late.id
     )
     SELECT id FROM late`,
    [PAGE],
  );
  const gone = new Set(expired.map(({ id }) => id));
  const before = Date.now() - ageMs;
  const entries = await s.blobs.list('uploads');
  const old = entries.filter(({ modifiedAt }) => modifiedAt.getTime() < before);
  const ids = [...new Set(old.map(({ path }) => path.split('/')[0] ?? ''))];
  const { rows: pending } = await s.pg.query<{ id: string }>(
    `SELECT id FROM uploads WHERE id = ANY($1) AND status = 'pending'`,
    [ids],
  );
  const kept = new Set(pending.map(({ id }) => id));
  for (const id of ids) if (!kept.has(id)) gone.add(id);
  for (const id of gone) await s.blobs.remove(partsPrefix(id));
  return gone.size;
}
