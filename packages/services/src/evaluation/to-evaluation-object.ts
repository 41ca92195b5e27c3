import type { EvaluationTaskObject, StateReason } from '@moraine/contract';
import type { EvaluationTaskModel } from '../ground/generated/models.js';
import { toSubjectFields } from '../training/find-subject.js';
import { type TaskWithAttempts, toTaskFields } from '../work/to-task-fields.js';

export type EvaluationRow = EvaluationTaskModel & { task: TaskWithAttempts };

/** The `evaluation.task` of the wire. */
export const toEvaluationObject = (row: EvaluationRow, waiting: StateReason | null): EvaluationTaskObject => ({
  id: row.id,
  object: 'evaluation.task',
  ...toTaskFields(row.task, waiting),
  ...toSubjectFields(row),
  made_for: row.forRunId,
  suite: row.suite,
  file: row.fileId,
  examples: row.examplesFileId,
  fewshot: row.fewshot,
  limit: row.itemsMax,
  seed: row.seed,
  sampling: row.sampling as EvaluationTaskObject['sampling'],
  items_sha256: row.itemsSha256,
  progress: { items: row.done, total: row.total },
  summary: row.summary as EvaluationTaskObject['summary'],
  metadata: row.metadata as EvaluationTaskObject['metadata'],
});
