import type { RunConfig, RunObject } from '@moraine/contract';
import type { ExportRow } from './downloads.js';
import type { Pace } from './pace.js';

/** What of a configuration stands in a run's wire object beside the whole. */
export type JobConfig = Pick<RunConfig, 'n_epochs' | 'batch_size'> & {
  learning_rate_multiplier?: RunConfig['learning_rate_multiplier'] | null;
  start?: { model: string } | null;
};

/** What a run's wire object is made of; times are unix seconds. */
export interface RunRow extends Omit<ListedRunRow, 'config'> {
  /** `RunConfig` as it is stored. */
  config: unknown;
}

/** What a run's wire object in a list is made of. */
export interface ListedRunRow {
  id: string;
  projectId: string;
  suffix: string | null;
  metadata: RunObject['metadata'];
  config: JobConfig;
  seed: number;
  steps: number;
  step: number;
  trainedTokens: number;
  tokensPerSecond: number | null;
  trainLoss: number | null;
  pace: Pace | null;
  trainingFileId: string;
  validationFileId: string | null;
  resultFileId: string | null;
  fineTunedModel: string | null;
  resultStep: number | null;
  resumeCheck: RunObject['resume_check'];
  experimentId: string | null;
  experimentArm: string | null;
  experimentPhase: string | null;
  /** The name of its base. */
  base: string;
  pool: string;
  priority: number;
  status: string;
  state: RunObject['state'];
  stateReason: RunObject['state_reason'];
  errorCode: string | null;
  errorMessage: string | null;
  errorParam: string | null;
  createdAt: number;
  startedAt: number | null;
  finishedAt: number | null;
  attempts: RunObject['attempts'];
  adapters: readonly ExportRow[];
}
