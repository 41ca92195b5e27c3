import type { AdapterObject } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { prepared } from '../ground/prepared.js';

/** Where a process has something that was trained. */
export interface LoadedPlace {
  baseSha256: string;
  sha256: string;
  at: AdapterObject['processes'][number];
}

interface Row {
  id: string;
  host: string;
  base_sha256: string;
  sha256: string;
  place: LoadedPlace['at']['place'];
  bytes: number;
  pinned: boolean;
}

/** By its content: of whatever project. A pin of another project is not told. */
const LOADED = `
  SELECT p.id, p.host, p.base_sha256, a.sha256, a.kind AS place, a.bytes, coalesce(a."pinnedBy" ? $1, false) AS pinned
  FROM inference_processes p, jsonb_to_recordset(p.adapters) AS a(sha256 text, kind text, bytes float8, "pinnedBy" jsonb)
  WHERE p.status = 'ready' AND p.lease_until > now() ORDER BY p.id, a.sha256`;

/** What was trained and is loaded in processes that answer, as each last said. */
export async function readLoaded(s: Services, { projectId }: Actor): Promise<LoadedPlace[]> {
  const { rows } = await s.pg.query<Row>(prepared(LOADED, [projectId]));
  return rows.map(({ base_sha256: baseSha256, sha256, ...at }) => ({ baseSha256, sha256, at }));
}
