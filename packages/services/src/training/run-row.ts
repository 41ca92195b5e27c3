import type { RunModel, TaskModel } from '../ground/generated/models.js';
import type { AttemptColumns } from '../work/to-attempt-object.js';
import type { ExportRow } from './downloads.js';

/** What of a run's row its wire object is made of. */
export type RunColumns = Pick<
  RunModel,
  | 'id'
  | 'projectId'
  | 'suffix'
  | 'metadata'
  | 'config'
  | 'seed'
  | 'steps'
  | 'step'
  | 'tokensPerSecond'
  | 'trainLoss'
  | 'pace'
  | 'trainingFileId'
  | 'validationFileId'
  | 'resultFileId'
  | 'fineTunedModel'
  | 'resultStep'
  | 'resumeCheck'
  | 'experimentId'
  | 'experimentArm'
  | 'experimentPhase'
> & { trainedTokens: number | bigint };

export type TaskColumns = Pick<
  TaskModel,
  | 'pool'
  | 'priority'
  | 'status'
  | 'state'
  | 'stateReason'
  | 'attempt'
  | 'errorCode'
  | 'errorMessage'
  | 'errorParam'
  | 'createdAt'
  | 'queuedAt'
  | 'startedAt'
  | 'finishedAt'
>;

export interface RunWithParts extends RunColumns {
  base: { name: string };
  task: TaskColumns & { attempts: readonly AttemptColumns[] };
  adapters: readonly ExportRow[];
}
