import type { RunState, RunStatus, StateReason } from '@moraine/contract';
import type { TaskModel } from '../ground/generated/models.js';
import { toSeconds, toSecondsOrNull } from '../ground/time.js';
import { type AttemptColumns, toAttemptObject } from './to-attempt-object.js';

/** A task with its attempts, the first one first. */
export type TaskWithAttempts = TaskModel & { attempts: readonly AttemptColumns[] };

/** What every task of its own has on the wire; `waiting` says why a queued one waits. */
export const toTaskFields = (task: TaskWithAttempts, waiting: StateReason | null) => ({
  created_at: toSeconds(task.createdAt),
  started_at: toSecondsOrNull(task.startedAt),
  finished_at: toSecondsOrNull(task.finishedAt),
  status: task.status as RunStatus,
  state: task.state as RunState | null,
  state_reason: waiting ?? (task.stateReason as StateReason | null),
  error:
    task.errorCode === null ? null : { code: task.errorCode, message: task.errorMessage ?? '', param: task.errorParam },
  attempts: task.attempts.map(toAttemptObject),
  pool: task.pool,
  priority: task.priority,
});
