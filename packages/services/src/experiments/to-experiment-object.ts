import { type ExperimentArmObject, type ExperimentCell, type ExperimentObject, isTerminal } from '@moraine/contract';
import { type ArmState, nextStep, type PlannedArm } from '@moraine/contract/experiments';
import { toSeconds, toSecondsOrNull } from '../ground/time.js';
import type { ExperimentRow } from './experiment-row.js';
import { type LoadedCell, toOutcome } from './load-cells.js';

/** The wire object: arms as planned, with how far each is by the runs so far, and cells with those that start at once. */
export function toExperimentObject(row: ExperimentRow, cells: readonly LoadedCell[]): ExperimentObject {
  const { request, plan } = row;
  const step = nextStep(plan.arms, request.seeds, cells.map(toOutcome));
  const made = cells.map(({ error_code: _code, is_held: _held, ...cell }): ExperimentCell => cell);
  const isOver = isTerminal(row.status === 'paused' ? 'running' : row.status);
  const starting = isOver ? [] : step.start.map((cell) => ({ ...cell, ...NOT_STARTED }));
  return {
    id: row.id,
    object: 'experiment',
    created_at: toSeconds(row.createdAt),
    finished_at: toSecondsOrNull(row.finishedAt),
    name: row.name,
    model: request.model,
    status: row.status,
    reason: row.reason,
    request: { ...request },
    arms: plan.arms.map((arm, i) => toArm(arm, step.arms[i])),
    cells: [...made, ...starting],
    runs: { ...plan.runs, made: made.length, ended: cells.filter(({ status }) => isTerminal(status)).length },
    warnings: plan.warnings,
    cloned_from: row.clonedFrom,
    pool: request.pool ?? 'default',
    priority: request.priority,
    metadata: request.metadata ?? {},
  };
}

const NOT_STARTED = {
  run_id: null,
  status: null,
  step: 0,
  steps: 0,
  score: null,
  error: null,
  hold_step: null,
  is_stopped: false,
  rungs: [],
};

function toArm(arm: PlannedArm, state: ArmState | undefined): ExperimentArmObject {
  return {
    name: arm.name,
    method: { type: arm.method, label: arm.label, color: arm.color },
    adapter: { ...arm.adapter },
    trainable_parameters: arm.trainableParameters,
    coverage: arm.coverage,
    replay_share: arm.replayShare,
    learning_rates: arm.rates,
    runs: arm.runs,
    ...(arm.rungs === undefined ? {} : { rungs: arm.rungs }),
    phase: state?.phase ?? 'search',
    learning_rate: state?.learning_rate ?? null,
    is_bracketed: state?.is_bracketed ?? null,
    note: state?.note ?? '',
  };
}
