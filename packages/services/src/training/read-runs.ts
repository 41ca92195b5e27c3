import type { RunObject } from '@moraine/contract';
import type { Services } from '../ground/context.js';
import { prepared } from '../ground/prepared.js';
import type { AttemptColumns } from '../work/to-attempt-object.js';
import { waitingReasons } from '../work/waiting-reason.js';
import type { ExportRow } from './downloads.js';
import type { RunColumns, RunWithParts, TaskColumns } from './run-row.js';
import { LOSSES, type LossEnds, verdictOf } from './run-verdict.js';
import { toRunObject } from './to-run-object.js';

/** Times inside JSON are milliseconds. */
type InJson<T> = { [K in keyof T]: T[K] extends Date ? number : T[K] extends Date | null ? number | null : T[K] };

interface Row extends RunColumns, TaskColumns {
  base: string;
  /** Parameters of the base, and the bfloat16 instructions of each worker that is there in the run's pool. */
  parameters: number;
  bfloat16: (string | null)[];
  attempts: InJson<AttemptColumns>[];
  adapters: ExportRow[];
  losses: LossEnds[];
}

const millis = (column: string): string => `round(extract(epoch FROM ${column}) * 1000)::bigint`;

/** Everything that a run's wire object is made of, in one row: of `runs r`, `tasks t` and `bases b`. */
const COLUMNS = `r.id, r.project_id AS "projectId", r.suffix, r.metadata, r.config, r.seed, r.steps, r.step,
  r.trained_tokens::float8 AS "trainedTokens", r.tokens_per_second AS "tokensPerSecond", r.train_loss AS "trainLoss", r.pace,
  r.training_file_id AS "trainingFileId", r.validation_file_id AS "validationFileId", r.result_file_id AS "resultFileId",
  r.fine_tuned_model AS "fineTunedModel", r.result_step AS "resultStep", r.resume_check AS "resumeCheck",
  r.experiment_id AS "experimentId", r.experiment_arm AS "experimentArm", r.experiment_phase AS "experimentPhase",
  t.pool, t.priority, t.status, t.state, t.state_reason AS "stateReason", t.attempt, t.error_code AS "errorCode",
  t.error_message AS "errorMessage", t.error_param AS "errorParam", t.created_at AS "createdAt", t.queued_at AS "queuedAt",
  t.started_at AS "startedAt", t.finished_at AS "finishedAt", b.name AS base, b.parameters::float8 AS parameters,
  (SELECT coalesce(json_agg(w.device ->> 'bfloat16'), '[]') FROM workers w WHERE w.pool = t.pool AND w.status NOT IN ('lost', 'gone')) AS bfloat16,
  (SELECT coalesce(json_agg(json_build_object('attempt', a.attempt, 'status', a.status, 'workerId', a.worker_id, 'startStep', a.start_step,
     'startedAt', ${millis('a.started_at')}, 'finishedAt', ${millis('a.finished_at')}, 'cause', a.cause, 'message', a.message)
     ORDER BY a.attempt), '[]') FROM attempts a WHERE a.task_id = t.id) AS attempts,
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
  const text = `SELECT ${COLUMNS} ${FROM} WHERE ${where}`;
  const { rows } = await s.pg.query<Row>(keepPlan ? prepared(text, values) : { text, values });
  const waiting = rows.map((row) => ({ ...row, reached: `step ${row.step}` }));
  const reasons = await waitingReasons(s, waiting);
  return rows.map((row) => ({
    object: toRunObject(toRun(row), reasons.get(row.id) ?? null, verdictOf(row.losses, row.resultStep)),
    parameters: row.parameters,
    bfloat16: row.bfloat16,
  }));
}

const toDate = (ms: number | null): Date | null => (ms === null ? null : new Date(ms));

const toRun = ({ base, attempts, ...row }: Row): RunWithParts => ({
  ...row,
  base: { name: base },
  task: {
    ...row,
    attempts: attempts.map((one) => ({
      ...one,
      startedAt: new Date(one.startedAt),
      finishedAt: toDate(one.finishedAt),
    })),
  },
});
