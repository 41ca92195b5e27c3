import type { ModelObject } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { prepared } from '../ground/prepared.js';
import { toSeconds } from '../ground/time.js';

interface ModelRow {
  name: string;
  created: Date;
  kind: ModelObject['kind'];
  parent: string | null;
  run_id: string | null;
  parameters: number | null;
  context: number | null;
  status: ModelObject['status'];
  source: string | null;
  commit: string | null;
  download: ModelObject['download'];
  error: ModelObject['error'];
}

/** Bases, those that are on their way from a hub or could not come, and registered adapters, of the project `$1`. */
const named = (where: (table: string) => string): string => `
  SELECT 1 AS part, b.name, b.created_at AS created, 'base' AS kind, NULL AS parent, NULL AS run_id, b.parameters::float8 AS parameters,
    b.context, 'ready' AS status, b.source, b.commit, NULL::json AS download, NULL::jsonb AS error, NULL::timestamptz AS queued
  FROM bases b WHERE b.project_id = $1 AND b.deleted_at IS NULL ${where('b')}
  UNION ALL
  SELECT 2, d.name, d.created_at, 'base', NULL, NULL, NULL, NULL, CASE d.status WHEN 'error' THEN 'error' ELSE 'processing' END, d.source, d.commit,
    json_build_object('bytes', d.bytes, 'bytes_total', d.bytes_total, 'waiting', d.waiting), d.error, NULL
  FROM base_downloads d WHERE d.project_id = $1 ${where('d')}
    AND NOT EXISTS (SELECT 1 FROM bases b WHERE b.project_id = $1 AND b.deleted_at IS NULL AND b.name = d.name)
  UNION ALL
  SELECT 3, a.name, a.created_at, 'adapter', b.name, NULL, b.parameters::float8, b.context, 'ready', NULL, NULL, NULL, NULL, NULL
  FROM uploaded_adapters a JOIN bases b ON b.id = a.base_id
  WHERE a.project_id = $1 AND a.deleted_at IS NULL ${where('a')}`;

const ALL = `${named(() => '')}
  UNION ALL
  SELECT 4, r.fine_tuned_model, coalesce(t.finished_at, t.created_at), 'fine_tuned', b.name, r.id, b.parameters::float8, b.context, 'ready',
    NULL, NULL, NULL, NULL, t.created_at
  FROM tasks t JOIN runs r ON r.id = t.id JOIN bases b ON b.id = r.base_id
  WHERE t.project_id = $1 AND t.deleted_at IS NULL AND t.status = 'succeeded' AND r.fine_tuned_model IS NOT NULL
  ORDER BY part, queued DESC, run_id DESC, name`;

const NAMED = named((table) => `AND ${table}.name = $2`);

/** Models of the caller's project: bases by name, then downloads, then adapters, then results of runs, the newest first. */
export async function readModels(s: Services, { projectId }: Actor): Promise<ModelObject[]> {
  const { rows } = await s.pg.query<ModelRow>(prepared(ALL, [projectId]));
  return rows.map((row) => toModelObject(row, projectId));
}

/** A base by its name, else a registered adapter, else one that is being downloaded. */
export async function readNamedModel(s: Services, { projectId }: Actor, name: string): Promise<ModelObject | null> {
  const { rows } = await s.pg.query<ModelRow>(prepared(NAMED, [projectId, name]));
  const row = rows.find(({ status }) => status === 'ready') ?? rows[0];
  return row ? toModelObject(row, projectId) : null;
}

const toModelObject = ({ name, created, ...row }: ModelRow, projectId: string): ModelObject => ({
  id: name,
  object: 'model',
  created: toSeconds(created),
  owned_by: projectId,
  kind: row.kind,
  parent: row.parent,
  run_id: row.run_id,
  parameters: row.parameters,
  context: row.context,
  status: row.status,
  source: row.source,
  commit: row.commit,
  download: row.download,
  error: row.error,
});
