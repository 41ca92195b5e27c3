import type { RunObject } from '@moraine/contract';
import type { AttemptModel } from '../ground/generated/models.js';
import { toSeconds, toSecondsOrNull } from '../ground/time.js';

export type AttemptColumns = Pick<
  AttemptModel,
  'attempt' | 'status' | 'workerId' | 'startStep' | 'startedAt' | 'finishedAt' | 'cause' | 'message'
>;

type AttemptObject = RunObject['attempts'][number];

/** An attempt as the wire has it. */
export const toAttemptObject = (attempt: AttemptColumns): AttemptObject => ({
  attempt: attempt.attempt,
  status: attempt.status as AttemptObject['status'],
  worker_id: attempt.workerId,
  started_at: toSeconds(attempt.startedAt),
  finished_at: toSecondsOrNull(attempt.finishedAt),
  start_step: attempt.startStep,
  cause: attempt.cause,
  message: attempt.message,
});
