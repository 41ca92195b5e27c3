import type { CheckpointObject } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { cursorOrThrow, type Page, toPage } from '../ground/paging.js';
import { prepared } from '../ground/prepared.js';
import { toSeconds } from '../ground/time.js';
import { checkpointModelName, fineTunedModelName } from '../library/fine-tuned-model-name.js';
import { taskNotFound } from '../work/require-task.js';

interface RunRow {
  suffix: string | null;
  base: string;
  project: string;
  /** Step of the best one, as the newest says. */
  best: number | null;
}

interface CheckpointRow extends RunRow {
  id: string;
  step: number;
  created_at: Date;
  metrics: Record<string, number>;
  bytes: number;
  sha256: string;
}

/** Latest step first; one row without `id` for a run that has none, no row where the caller's project has no such run. */
const checkpointsOf = (condition: string): string => `
  SELECT c.id, c.step, c.created_at, c.metrics, c.size_bytes::float8 AS bytes, c.sha256, r.suffix, b.name AS base, p.name AS project,
    (SELECT best_step FROM checkpoints WHERE run_id = r.id AND deleted_at IS NULL ORDER BY step DESC LIMIT 1) AS best
  FROM runs r JOIN tasks t ON t.id = r.id JOIN bases b ON b.id = r.base_id JOIN projects p ON p.id = r.project_id
  LEFT JOIN LATERAL (
    SELECT * FROM checkpoints WHERE run_id = r.id AND deleted_at IS NULL ${condition} ORDER BY step DESC LIMIT $3) c ON true
  WHERE r.id = $1 AND r.project_id = $2 AND t.deleted_at IS NULL ORDER BY c.step DESC`;

const LATEST = checkpointsOf('');
const EARLIER = checkpointsOf('AND step < (SELECT step FROM checkpoints WHERE id = $4 AND run_id = r.id)');

/** Checkpoints of a run that are kept, latest step first. @throws AppError `not_found`. */
export async function listCheckpoints(
  s: Services,
  actor: Actor,
  runId: string,
  { limit, after }: { limit: number; after?: string },
): Promise<Page<CheckpointObject>> {
  const values = [runId, actor.projectId, limit + 1];
  const query = after ? prepared(EARLIER, [...values, after]) : prepared(LATEST, values);
  const { rows } = await s.pg.query<CheckpointRow | (RunRow & { id: null })>(query);
  if (rows.length === 0) throw taskNotFound(runId);
  const checkpoints = rows.filter((row) => row.id !== null).map((row) => toCheckpointObject(runId, row));
  if (after && checkpoints.length === 0)
    cursorOrThrow(await s.db.checkpoint.findFirst({ where: { id: after, runId } }), after);
  return toPage(checkpoints, limit);
}

function toCheckpointObject(runId: string, row: CheckpointRow): CheckpointObject {
  const model = fineTunedModelName({ runId, baseName: row.base, projectName: row.project, suffix: row.suffix });
  return {
    id: row.id,
    object: 'fine_tuning.job.checkpoint',
    created_at: toSeconds(row.created_at),
    step_number: row.step,
    fine_tuned_model_checkpoint: checkpointModelName(model, row.step),
    fine_tuning_job_id: runId,
    metrics: { step: row.step, ...row.metrics },
    bytes: row.bytes,
    sha256: row.sha256,
    is_best: row.step === row.best,
  };
}
