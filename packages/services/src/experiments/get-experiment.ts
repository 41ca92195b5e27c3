import type { ExperimentObject, ExperimentStatus, ExperimentSummary } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { cursorOrThrow, type Page, toPage } from '../ground/paging.js';
import { toSeconds, toSecondsOrNull } from '../ground/time.js';
import { requireExperiment, toRow } from './experiment-row.js';
import { loadCells } from './load-cells.js';
import { toExperimentObject } from './to-experiment-object.js';

/** @throws AppError `not_found`. */
export async function getExperiment(s: Services, actor: Actor, id: string): Promise<ExperimentObject> {
  const row = await requireExperiment(s, actor, id);
  return toExperimentObject(row, await loadCells(s, row));
}

export interface ListExperiments {
  limit: number;
  after?: string;
  status?: ExperimentStatus;
}

/** Experiments of the caller's project, newest first. */
export async function listExperiments(
  s: Services,
  actor: Actor,
  { limit, after, status }: ListExperiments,
): Promise<Page<ExperimentSummary>> {
  const { projectId } = actor;
  const cursor =
    after === undefined
      ? null
      : cursorOrThrow(await s.db.experiment.findFirst({ where: { id: after, projectId } }), after);
  const rows = await s.db.experiment.findMany({
    where: {
      projectId,
      ...(status === undefined ? {} : { status }),
      ...(cursor === null
        ? {}
        : { OR: [{ createdAt: { lt: cursor.createdAt } }, { createdAt: cursor.createdAt, id: { lt: cursor.id } }] }),
    },
    orderBy: [{ createdAt: 'desc' }, { id: 'desc' }],
    take: limit + 1,
  });
  const counts = await countRuns(
    s,
    rows.map(({ id }) => id),
  );
  const summaries = rows.map(toRow).map((row): ExperimentSummary => {
    return {
      id: row.id,
      object: 'experiment.summary',
      created_at: toSeconds(row.createdAt),
      finished_at: toSecondsOrNull(row.finishedAt),
      name: row.name,
      model: row.request.model,
      status: row.status,
      reason: row.reason,
      arms: row.plan.arms.map(({ name }) => name),
      runs: counts.get(row.id) ?? { made: 0, ended: 0 },
    };
  });
  return toPage(summaries, limit);
}

async function countRuns(s: Services, ids: readonly string[]): Promise<Map<string, ExperimentSummary['runs']>> {
  const { rows } = await s.pg.query<{ id: string; made: number; ended: number }>(
    `SELECT r.experiment_id AS id, count(*)::int AS made, count(t.finished_at)::int AS ended FROM runs r JOIN tasks t ON t.id = r.id
     WHERE r.experiment_id = ANY ($1) AND r.experiment_cell IS NOT NULL AND t.deleted_at IS NULL GROUP BY r.experiment_id`,
    [ids],
  );
  return new Map(rows.map(({ id, made, ended }) => [id, { made, ended }]));
}
