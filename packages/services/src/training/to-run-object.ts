import { type ListedRun, type RunObject, type StateReason, storedRunConfig } from '@moraine/contract';
import { reportOf, toDownloads } from './downloads.js';
import { type Pace, timeLeft } from './pace.js';
import type { ListedRunRow, RunRow } from './run-row.js';

/** The `fine_tuning.job` of the wire, with its whole configuration. */
export function toRunObject(run: RunRow, waiting: StateReason | null, verdict: RunObject['verdict'] = null): RunObject {
  const config = storedRunConfig(run.config);
  return { ...toListedRun({ ...run, config }, waiting, verdict), config };
}

/** The same as lists have it, field by field as the OpenAI API has it, with ours beside. */
export function toListedRun(run: ListedRunRow, waiting: StateReason | null, verdict: RunObject['verdict']): ListedRun {
  const { config } = run;
  const hyperparameters = {
    n_epochs: config.n_epochs,
    batch_size: config.batch_size,
    learning_rate_multiplier: config.learning_rate_multiplier ?? ('auto' as const),
  };
  const progress = toProgress(run);
  const secondsLeft = progress.seconds_remaining;
  return {
    id: run.id,
    object: 'fine_tuning.job',
    created_at: run.createdAt,
    started_at: run.startedAt,
    finished_at: run.finishedAt,
    model: config.start?.model ?? run.base,
    fine_tuned_model: run.fineTunedModel,
    organization_id: run.projectId,
    status: run.status as RunObject['status'],
    hyperparameters,
    training_file: run.trainingFileId,
    validation_file: run.validationFileId,
    result_files: run.resultFileId === null ? [] : [run.resultFileId],
    trained_tokens: run.finishedAt === null ? null : run.trainedTokens,
    error:
      run.errorCode === null ? null : { code: run.errorCode, message: run.errorMessage ?? '', param: run.errorParam },
    seed: run.seed,
    estimated_finish: secondsLeft === null ? null : Math.round(Date.now() / 1_000 + secondsLeft),
    integrations: [],
    method: { type: 'supervised', supervised: { hyperparameters } },
    metadata: run.metadata,
    suffix: run.suffix,
    ...experimentOf(run),
    state: run.state,
    verdict,
    state_reason: waiting ?? run.stateReason,
    progress,
    attempts: run.attempts,
    pool: run.pool,
    priority: run.priority,
    exports: run.adapters.filter((one) => reportOf(one).problem === null).map(({ kind }) => kind),
    resume_check: run.resumeCheck,
    result_step: run.status === 'succeeded' ? (run.resultStep ?? run.step) : null,
    downloads: toDownloads(run.adapters),
  };
}

function experimentOf({ experimentId, experimentArm, experimentPhase }: ListedRunRow): Pick<RunObject, 'experiment'> {
  if (experimentId === null || experimentArm === null) return {};
  const phase = experimentPhase === 'search' ? 'search' : 'final';
  return { experiment: { id: experimentId, arm: experimentArm, phase } };
}

/** What a run says of its progress; there is time left while it runs and has a pace. Evaluations after the last step come on top. */
export function toProgress(run: ProgressRow): RunObject['progress'] {
  const left = run.status === 'running' ? timeLeft(run.pace, run.step, run.steps) : null;
  return {
    step: run.step,
    steps: run.steps,
    trained_tokens: run.trainedTokens,
    tokens_per_second: run.tokensPerSecond,
    train_loss: run.trainLoss,
    seconds_remaining: left?.seconds ?? null,
    seconds_remaining_range: left?.range ?? null,
  };
}

export interface ProgressRow {
  status: string;
  step: number;
  steps: number;
  trainedTokens: number;
  tokensPerSecond: number | null;
  trainLoss: number | null;
  pace: Pace | null;
}
