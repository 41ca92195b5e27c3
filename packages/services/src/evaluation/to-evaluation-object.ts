import type { EvaluationTaskObject, StateReason } from '@moraine/contract';
import type { EvaluationTaskModel, TaskModel } from '../ground/generated/models.js';
import { toSeconds, toSecondsOrNull } from '../ground/time.js';
import { type AttemptColumns, toAttemptObject } from '../work/to-attempt-object.js';

export type EvaluationRow = EvaluationTaskModel & { task: TaskModel & { attempts: readonly AttemptColumns[] } };

/** The `evaluation.task` of the wire. */
export function toEvaluationObject(row: EvaluationRow, waiting: StateReason | null): EvaluationTaskObject {
  const { task } = row;
  return {
    id: row.id,
    object: 'evaluation.task',
    created_at: toSeconds(task.createdAt),
    started_at: toSecondsOrNull(task.startedAt),
    finished_at: toSecondsOrNull(task.finishedAt),
    status: task.status as EvaluationTaskObject['status'],
    state: task.state as EvaluationTaskObject['state'],
    state_reason: waiting ?? (task.stateReason as StateReason | null),
    error:
      task.errorCode === null
        ? null
        : { code: task.errorCode, message: task.errorMessage ?? '', param: task.errorParam },
    made_for: row.forRunId,
    model: row.model,
    base: row.baseName,
    tuned: row.tunedSha256 === null ? null : { run_id: row.runId, sha256: row.tunedSha256, step: row.tunedStep },
    lambda: row.lambda,
    suite: row.suite,
    file: row.fileId,
    examples: row.examplesFileId,
    fewshot: row.fewshot,
    limit: row.itemsMax,
    seed: row.seed,
    items_sha256: row.itemsSha256,
    progress: { items: row.done, total: row.total },
    summary: row.summary as EvaluationTaskObject['summary'],
    metadata: row.metadata as EvaluationTaskObject['metadata'],
    attempts: task.attempts.map(toAttemptObject),
    pool: task.pool,
    priority: task.priority,
  };
}
