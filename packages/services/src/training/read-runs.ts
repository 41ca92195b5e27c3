import type { ListedRun, RunObject, StateReason } from '@moraine/contract';
import type { Services } from '../ground/context.js';
import { finite, jsonRows, seconds } from '../ground/json-rows.js';
import { type Waiting, waitingReasons } from '../work/waiting-reason.js';
import type { ListedRunRow, RunRow } from './run-row.js';
import { readVerdict, VERDICT, type VerdictRow } from './run-verdict.js';
import { toListedRun, toRunObject } from './to-run-object.js';

interface Listed extends ListedRunRow, VerdictRow {
  attempt: number;
  /** Milliseconds. */
  queuedAt: number;
}

interface Whole extends Omit<Listed, 'config'>, RunRow {
  /** Parameters of the base, and the bfloat16 instructions of each worker that is there in the run's pool. */
  parameters: number;
  bfloat16: (string | null)[];
}

/** Everything that a run's wire object in a list is made of, in one row: of `runs r`, `tasks t` and `bases b`. */
const LISTED = `r.id, r.project_id AS "projectId", r.suffix, r.metadata, r.seed, r.steps, r.step,
  r.trained_tokens AS "trainedTokens", ${finite('r.tokens_per_second')} AS "tokensPerSecond", ${finite('r.train_loss')} AS "trainLoss", r.pace,
  r.training_file_id AS "trainingFileId", r.validation_file_id AS "validationFileId", r.result_file_id AS "resultFileId",
  r.fine_tuned_model AS "fineTunedModel", r.result_step AS "resultStep", r.resume_check AS "resumeCheck",
  r.experiment_id AS "experimentId", r.experiment_arm AS "experimentArm", r.experiment_phase AS "experimentPhase",
  t.pool, t.priority, t.status, t.state, t.state_reason AS "stateReason", t.attempt, t.error_code AS "errorCode",
  t.error_message AS "errorMessage", t.error_param AS "errorParam", ${seconds('t.created_at')} AS "createdAt",
  round(extract(epoch FROM t.queued_at) * 1000)::bigint AS "queuedAt", ${seconds('t.started_at')} AS "startedAt",
  ${seconds('t.finished_at')} AS "finishedAt", b.name AS base,
  (SELECT coalesce(json_agg(json_build_object('attempt', a.attempt, 'status', a.status, 'worker_id', a.worker_id,
     'started_at', ${seconds('a.started_at')}, 'finished_at', ${seconds('a.finished_at')}, 'start_step', a.start_step, 'cause', a.cause,
     'message', a.message) ORDER BY a.attempt), '[]') FROM attempts a WHERE a.task_id = t.id) AS attempts,
  (SELECT coalesce(json_agg(json_build_object('kind', d.kind, 'sizeBytes', d.size_bytes, 'blobKey', d.blob_key, 'report', d.report)
     ORDER BY d.kind), '[]') FROM adapters d WHERE d.run_id = r.id) AS adapters,
  ${VERDICT}`;

/** The few keys of the configuration that a list shows. */
const JOB_CONFIG = ['n_epochs', 'batch_size', 'learning_rate_multiplier', 'start'].map(
  (key) => `'${key}', r.config->'${key}'`,
);

/** What the answers about one run have beside. */
const WHOLE = `r.config, b.parameters,
  (SELECT coalesce(json_agg(w.device ->> 'bfloat16'), '[]') FROM workers w WHERE w.pool = t.pool AND w.status NOT IN ('lost', 'gone')) AS bfloat16`;

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
export async function readRuns(s: Services, find: FindRuns): Promise<ReadRun[]> {
  const read = await readRows<Whole>(s, WHOLE, find);
  return read.map(({ row, waiting }) => ({
    object: toRunObject(row, waiting, readVerdict(row, row.resultStep)),
    parameters: row.parameters,
    bfloat16: row.bfloat16,
  }));
}

/** The same as lists have them, without their configurations. */
export async function readListedRuns(s: Services, find: FindRuns): Promise<ListedRun[]> {
  const read = await readRows<Listed>(s, `json_build_object(${JOB_CONFIG.join()}) AS config`, find);
  return read.map(({ row, waiting }) => toListedRun(row, waiting, readVerdict(row, row.resultStep)));
}

async function readRows<Row extends Omit<Listed, 'config'>>(
  s: Services,
  own: string,
  { keepPlan = false, where, values }: FindRuns,
): Promise<{ row: Row; waiting: StateReason | null }[]> {
  const text = `SELECT ${LISTED}, ${own} ${FROM} WHERE ${where}`;
  const rows = await jsonRows<Row>(s, { text, values, keepPlan });
  const reasons = await waitingReasons(s, rows.filter(({ status }) => status === 'queued').map(toWaiting));
  return rows.map((row) => ({ row, waiting: reasons.get(row.id) ?? null }));
}

const toWaiting = (row: Omit<Listed, 'config'>): Waiting => ({
  id: row.id,
  pool: row.pool,
  priority: row.priority,
  status: row.status,
  attempt: row.attempt,
  stateReason: row.stateReason,
  queuedAt: new Date(row.queuedAt),
  reached: `step ${row.step}`,
});
