import { type ExperimentCell, isDivergence, isTerminal, type RunStatus } from '@moraine/contract';
import type { CellOutcome } from '@moraine/contract/experiments';
import type { Services } from '../ground/context.js';
import { IS_HELD, NOT_PROMOTED } from '../training/hold-run.js';
import { IS_FINITE } from '../training/rewind.js';
import type { ExperimentRow } from './experiment-row.js';

/** A cell with its run. */
export interface LoadedCell extends ExperimentCell {
  run_id: string;
  status: RunStatus;
  error_code: string | null;
  /** It has come to the step of a rung and waits there for the search. */
  is_held: boolean;
}

/**
 * The cells of an experiment that have a run, oldest first. A deleted run counts as none. The score is the validation loss of the run's
 * result, which the reported figures are of too; where a search stops runs early, those at the steps of its rungs are there too.
 */
export async function loadCells(s: Services, { id, plan }: Pick<ExperimentRow, 'id' | 'plan'>): Promise<LoadedCell[]> {
  const steps = plan.arms.flatMap(({ search }) => (search.type === 'asha' ? search.rungs : []));
  const { rows } = await s.pg.query<LoadedCell & { valid: number | null }>(
    `SELECT r.id AS run_id, r.experiment_arm AS arm, r.experiment_phase AS phase,
       (r.config->'optimizer'->>'learning_rate')::float8 AS learning_rate, r.seed, t.status, r.step, r.steps, r.hold_step,
       t.status = 'cancelled' AND coalesce(t.state_reason ->> 'code', '') = '${NOT_PROMOTED}' AS is_stopped, ${IS_HELD} AS is_held,
       (SELECT coalesce(json_agg(json_build_object('step', p.step, 'loss', CASE WHEN p.${IS_FINITE} THEN p.value END) ORDER BY p.step), '[]')
         FROM metric_series m JOIN metric_points p ON p.series_id = m.id
         WHERE m.run_id = r.id AND m.name = 'valid_loss' AND r.experiment_phase = 'search' AND p.step = ANY ($2)) AS rungs,
       t.error_code, t.error_message AS error,
       CASE WHEN t.status = 'succeeded' THEN (SELECT p.value FROM metric_series m JOIN metric_points p ON p.series_id = m.id
         WHERE m.run_id = r.id AND m.name = 'valid_loss' ORDER BY p.step = r.result_step DESC NULLS LAST, p.step DESC LIMIT 1) END AS valid
     FROM runs r JOIN tasks t ON t.id = r.id
     WHERE r.experiment_id = $1 AND r.experiment_cell IS NOT NULL AND t.deleted_at IS NULL
     ORDER BY t.created_at, r.experiment_arm, r.experiment_phase DESC, learning_rate, r.seed`,
    [id, steps],
  );
  return rows.map(({ valid, ...row }) => ({ ...row, score: valid !== null && Number.isFinite(valid) ? valid : null }));
}

/** What a cell's run did, as the search understands it. */
export function toOutcome({ arm, phase, learning_rate, seed, run_id, status, score, ...run }: LoadedCell): CellOutcome {
  const cell = { arm, phase, learning_rate, seed, score, to: run.hold_step ?? undefined, rungs: run.rungs };
  if (run.is_held) return { ...cell, state: 'held' };
  if (!isTerminal(status)) return { ...cell, state: 'active' };
  if (run.is_stopped) return { ...cell, state: 'stopped' };
  if (status === 'succeeded') return { ...cell, state: score === null ? 'diverged' : 'ended' };
  if (isDiverged(run)) return { ...cell, state: 'diverged' };
  const why = status === 'cancelled' ? 'was cancelled' : `failed: ${run.error ?? 'the reason is not known'}`;
  return { ...cell, state: 'failed', reason: `${run_id} (lr ${learning_rate}, seed ${seed}) ${why}` };
}

/** A loss that diverged says something of the rate; other failures say nothing of it. */
export const isDiverged = ({ error_code }: Pick<LoadedCell, 'error_code'>): boolean => isDivergence(error_code);
