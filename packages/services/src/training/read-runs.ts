import type { RunObject } from '@moraine/contract';
import type { Services } from '../ground/context.js';
import { finite, jsonRows, seconds } from '../ground/json-rows.js';
import { type Waiting, waitingReasons } from '../work/waiting-reason.js';
import type { RunRow } from './run-row.js';
import { LOSSES, type LossEnds, verdictOf } from './run-verdict.js';
import { toRunObject } from './to-run-object.js';

interface Row extends RunRow {
  attempt: number;
  /** Milliseconds. */
  queuedAt: number;
  /** Parameters of the base, and the bfloat16 instructions of each worker that is there in the run's pool. */
  parameters: number;
  bfloat16: (string | null)[];
  losses: LossEnds[];
}

/** Everything that a run's wire object is made of, in one row: of `runs r`, `tasks t` and `bases b`. */
const COLUMNS = `r.id, r.project_id AS "projectId", r.suffix, r.metadata, r.config, r.seed, r.steps, r.step,
  r.trained_tokens AS "trainedTokens", ${finite('r.tokens_per_second')} AS "tokensPerSecond", ${finite('r.train_loss')} AS "trainLoss", r.pace,
  r.training_file_id AS "trainingFileId", r.validation_file_id AS "validationFileId", r.result_file_id AS "resultFileId",
  r.fine_tuned_model AS "fineTunedModel", r.result_step AS "resultStep", r.resume_check AS "resumeCheck",
  r.experiment_id AS "experimentId", r.experiment_arm AS "experimentArm", r.experiment_phase AS "experimentPhase",
  t.pool, t.priority, t.status, t.state, t.state_reason AS "stateReason", t.attempt, t.error_code AS "errorCode",
  t.error_message AS "errorMessage", t.error_param AS "errorParam", ${seconds('t.created_at')} AS "createdAt",
  round(extract(epoch FROM t.queued_at) * 1000)::bigint AS "queuedAt", ${seconds('t.started_at')} AS "startedAt",
  ${seconds('t.finished_at')} AS "finishedAt", b.name AS base, b.parameters,
  (SELECT coalesce(json_agg(w.device ->> 'bfloat16'), '[]') FROM workers w WHERE w.pool = t.pool AND w.status NOT IN ('lost', 'gone')) AS bfloat16,
  (SELECT coalesce(json_agg(json_build_object('attempt', a.attempt, 'status', a.status, 'worker_id', a.worker_id,
     'started_at', ${seconds('a.started_at')}, 'finished_at', ${seconds('a.finished_at')}, 'start_step', a.start_step, 'cause', a.cause,
     'message', a.message) ORDER BY a.attempt), '[]') FROM attempts a WHERE a.task_id = t.id) AS attempts,
  (SELECT coalesce(json_agg(json_build_object('kind', d.kind, 'sizeBytes', d.size_bytes, 'blobKey', d.blob_key, 'report', d.report)
     ORDER BY d.kind), '[]') FROM adapters d WHERE d.run_id = r.id) AS adapters,
  ${LOSSES} AS losses`;

const FROM = 'FROM tasks t JOIN runs r ON r.id = t.id JOIN bases b ON b.id = r.base_id';

/** A statement that finds runs. */
export interface FindRuns {
  /** Whether Postgres may keep its plan whatever the values are. */
  keepPlan?: boolean;
  /** Conditions on `tasks t` and `runs r`, with their order and limit. */
  where: string;
  values: unknown[];
}

/** A run's wire object, and what advice needs beside it. */
export interface ReadRun {
  object: RunObject;
  parameters: number;
  bfloat16: readonly (string | null)[];
}

/** Reads runs in one statement and makes their wire objects, with the reason why each queued one waits and what their losses say. */
export async function readRuns(s: Services, { keepPlan = false, where, values }: FindRuns): Promise<ReadRun[]> {
  const rows = await jsonRows<Row>(s, { text: `SELECT ${COLUMNS} ${FROM} WHERE ${where}`, values, keepPlan });
  const reasons = await waitingReasons(s, rows.filter(({ status }) => status === 'queued').map(toWaiting));
  return rows.map((row) => ({
    object: toRunObject(row, reasons.get(row.id) ?? null, verdictOf(row.losses, row.resultStep)),
    parameters: row.parameters,
    bfloat16: row.bfloat16,
  }));
}

const toWaiting = (row: Row): Waiting => ({
  id: row.id,
  pool: row.pool,
  priority: row.priority,
  status: row.status,
  attempt: row.attempt,
  stateReason: row.stateReason,
  queuedAt: new Date(row.queuedAt),
  reached: `step ${row.step}`,
});
