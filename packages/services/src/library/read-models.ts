import type { ModelObject } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { jsonRows, seconds } from '../ground/json-rows.js';

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

const EVERY = `${named(() => '')}
  UNION ALL
  SELECT 4, r.fine_tuned_model, coalesce(t.finished_at, t.created_at), 'fine_tuned', b.name, r.id, b.parameters::float8, b.context, 'ready',
    NULL, NULL, NULL, NULL, t.created_at
  FROM tasks t JOIN runs r ON r.id = t.id JOIN bases b ON b.id = r.base_id
  WHERE t.project_id = $1 AND t.deleted_at IS NULL AND t.status = 'succeeded' AND r.fine_tuned_model IS NOT NULL`;

/** Rows that are wire objects as they stand: there may be tens of thousands. */
const objects = (rows: string): string => `
  SELECT name AS id, 'model' AS object, ${seconds('created')} AS created, $1 AS owned_by, kind, parent, run_id, parameters, context, status, source,
    commit, download, error
  FROM (${rows}) every ORDER BY part, queued DESC, run_id DESC, name`;

const ALL = objects(EVERY);
const NAMED = objects(named((table) => `AND ${table}.name = $2`));

/** Models of the caller's project: bases by name, then downloads, then adapters, then results of runs, the newest first. */
export const readModels = (s: Services, { projectId }: Actor): Promise<ModelObject[]> =>
  jsonRows<ModelObject>(s, { text: ALL, values: [projectId], keepPlan: true });

/** A base by its name, else a registered adapter, else one that is being downloaded. */
export async function readNamedModel(s: Services, { projectId }: Actor, name: string): Promise<ModelObject | null> {
  const models = await jsonRows<ModelObject>(s, { text: NAMED, values: [projectId, name], keepPlan: true });
  return models.find(({ status }) => status === 'ready') ?? models[0] ?? null;
}
