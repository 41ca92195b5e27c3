/**
 * Tasks and experiments that need the file `id`, an expression in SQL, of the project `project`, and have not ended, or whose evaluations by suites
 * or analyses are still to be made: `id`, `kind` and `status` of each.
 */
export const usersOfFile = (id: string, project: string): string => `
  SELECT t.id, t.kind, t.status FROM tasks t JOIN runs r ON r.id = t.id
  WHERE t.project_id = ${project} AND t.finished_at IS NULL AND t.deleted_at IS NULL
    AND (r.training_file_id = ${id} OR r.validation_file_id = ${id} OR r.config->'evaluation'->'files' ? ${id}
      OR r.config->'data_mix' @> jsonb_build_array(jsonb_build_object('file_id', ${id}::text)))
  UNION ALL SELECT t.id, t.kind, t.status FROM tasks t JOIN runs r ON r.id = t.id
  WHERE t.project_id = ${project} AND r.suites_open AND t.deleted_at IS NULL
    AND (r.config #> '{evaluation,suites}' @> jsonb_build_array(jsonb_build_object('file', ${id}::text))
      OR r.config #> '{evaluation,suites}' @> jsonb_build_array(jsonb_build_object('examples', ${id}::text)))
  UNION ALL SELECT t.id, t.kind, t.status FROM tasks t JOIN runs r ON r.id = t.id
  WHERE t.project_id = ${project} AND r.analyses_open AND t.deleted_at IS NULL
    AND r.config #> '{evaluation,analyses}' @> jsonb_build_array(jsonb_build_object('file', ${id}::text))
  UNION ALL SELECT t.id, t.kind, t.status FROM tasks t JOIN evaluation_tasks e ON e.id = t.id
  WHERE t.project_id = ${project} AND t.finished_at IS NULL AND t.deleted_at IS NULL
    AND ${id} IN (e.file_id, e.examples_file_id)
  UNION ALL SELECT t.id, t.kind, t.status FROM tasks t JOIN analysis_tasks a ON a.id = t.id
  WHERE t.project_id = ${project} AND t.finished_at IS NULL AND t.deleted_at IS NULL AND a.file_id = ${id}
  UNION ALL SELECT x.id, 'experiment', x.status FROM experiments x
  WHERE x.project_id = ${project} AND x.finished_at IS NULL AND position(to_json(${id}::text)::text IN x.request::text) > 0`;
