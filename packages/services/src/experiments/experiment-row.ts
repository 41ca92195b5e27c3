import { AppError, CheckpointRequest } from '@moraine/contract';
import type { ExperimentPlan, ExperimentSpec } from '@moraine/contract/experiments';
import type { Actor, Services } from '../ground/context.js';
import type { ExperimentModel } from '../ground/generated/models.js';

/** An experiment as it is stored, its documents typed. */
export type ExperimentRow = Omit<ExperimentModel, 'request' | 'plan' | 'status'> & {
  status: 'running' | 'paused' | 'succeeded' | 'failed' | 'cancelled';
  request: ExperimentSpec;
  plan: ExperimentPlan;
};

/** The row of an experiment of the caller's project. @throws AppError `not_found`, also for those of other projects. */
export async function requireExperiment(s: Services, actor: Actor, id: string): Promise<ExperimentRow> {
  const row = await s.db.experiment.findFirst({ where: { id, projectId: actor.projectId } });
  if (!row) throw notFound(id);
  return toRow(row);
}

export function toRow(row: ExperimentModel): ExperimentRow {
  const typed = row as unknown as ExperimentRow;
  return { ...typed, request: storedSpec(typed.request) };
}

/** A stored request with its keys of today: those that its version did not write are as they were then, or as `later` has them. */
export function storedSpec(stored: ExperimentSpec, later: ExperimentSpec | null = null): ExperimentSpec {
  const { fixed, evaluation } = stored;
  const unwritten = { ...CHECKPOINT_AUTO, result: later?.fixed.checkpoint.result ?? ('last' as const) };
  return {
    ...stored,
    fixed: { ...fixed, checkpoint: { ...unwritten, ...fixed.checkpoint } },
    evaluation: { ...evaluation, points: evaluation.points ?? later?.evaluation.points ?? 'steps' },
  };
}

const CHECKPOINT_AUTO = CheckpointRequest.parse({});

export const notFound = (id: string): AppError =>
  new AppError('not_found', `No experiment '${id}'.`, { param: 'id', hint: 'GET /v1/experiments lists yours.' });
