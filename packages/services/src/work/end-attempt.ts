import { type FailureCause, newId, RETRYABLE_CAUSES, type StateReason } from '@moraine/contract';
import type { Services } from '../ground/context.js';
import { notify, type StatusRow, statusMessage } from '../ground/publish.js';
import { offerRun } from './offer-run.js';
import { type EventRow, eventMessage } from './record-event.js';

export type Verdict = 'retry' | 'retry_smaller' | 'failed' | 'cancelled';

export interface Ending {
  /** How the attempt ends; `superseded` is not charged to the run's budget of attempts. */
  status: 'failed' | 'lost' | 'superseded';
  cause: FailureCause;
  code: string;
  message: string;
  param?: string | null;
}

interface EndedRow extends StatusRow {
  id: string;
  verdict: Verdict;
  pool: string;
  submission: number;
  priority: number;
  delay_ms: number;
  event: EventRow;
  event_created_at: Date;
}

/**
 * Ends an attempt that did not finish and decides what becomes of its run, in one statement. `tokenSql` is a `token AS (…)` part that
 * locks the run; its parameters are $1 to $3. The run is cancelled when that was asked for; it is queued again while the cause is one of
 * ours and the budget of attempts lasts (with a growing pause from the second fault on); memory that ran out earns one more try with
 * half the micro-batch and the same batch; everything else fails the run. Answers null when `tokenSql` gives no row.
 */
export async function endAttempt(
  s: Services,
  tokenSql: string,
  token: readonly [string, number, string],
  ending: Ending,
): Promise<EndedRow | null> {
  const { rows } = await s.pg.query<EndedRow>(
    `WITH ${tokenSql}, history AS (
       SELECT count(*) FILTER (WHERE a.status IN ('failed', 'lost')) AS charged, count(*) FILTER (WHERE a.cause = 'oom') AS ooms
       FROM attempts a JOIN token ON a.run_id = token.id WHERE a.attempt < $2 AND a.worker_id IS NOT NULL
     ), facts AS (
       SELECT r.*, h.charged, coalesce((r.config ->> 'accumulation')::int, 1) AS accumulation, h.ooms,
         coalesce((r.config ->> 'batch_size')::int, 1) AS batch_size
       FROM runs r JOIN token ON r.id = token.id CROSS JOIN history h
     ), verdict AS (
       SELECT id, charged, accumulation, CASE
         WHEN state = 'cancelling' THEN 'cancelled'
         WHEN $4 = 'superseded' THEN 'retry'
         WHEN $5 = 'oom' THEN CASE WHEN ooms = 0 AND batch_size % (2 * accumulation) = 0 THEN 'retry_smaller' ELSE 'failed' END
         WHEN $5 = ANY ($9::text[]) AND charged + 1 < max_attempts THEN 'retry'
         ELSE 'failed' END AS verdict,
         CASE WHEN $4 <> 'failed' OR charged = 0 THEN 0 ELSE least(30000, 1000 * 2 ^ least(charged, 10)) END::int AS delay_ms
       FROM facts
     ), attempt AS (
       UPDATE attempts a SET status = $4, cause = $5, message = $7, finished_at = now() FROM token WHERE a.run_id = token.id AND a.attempt = $2
     ), run AS (
       UPDATE runs r SET
         status = CASE WHEN v.verdict IN ('retry', 'retry_smaller') THEN 'queued' ELSE v.verdict END,
         state = NULL,
         state_reason = CASE WHEN v.verdict IN ('retry', 'retry_smaller')
           THEN jsonb_build_object('code', 'resuming', 'message', $7, 'since', extract(epoch FROM now())::int) END,
         queued_at = CASE WHEN v.verdict = 'retry' AND v.delay_ms > 0 THEN now() + v.delay_ms * interval '1 millisecond' ELSE r.queued_at END,
         finished_at = CASE WHEN v.verdict IN ('failed', 'cancelled') THEN now() END,
         tokens_per_second = NULL,
         error_code = CASE WHEN v.verdict = 'failed' THEN $6 END,
         error_message = CASE WHEN v.verdict = 'failed' THEN $7
           || CASE WHEN $5 = ANY ($9::text[]) THEN format(' This was attempt %s; %s of %s were charged.', $2, v.charged + 1, r.max_attempts) ELSE '' END END,
         error_param = CASE WHEN v.verdict = 'failed' THEN $8 END,
         config = CASE WHEN v.verdict = 'retry_smaller' THEN jsonb_set(r.config, '{accumulation}', to_jsonb(2 * v.accumulation)) ELSE r.config END
       FROM verdict v WHERE r.id = v.id
       RETURNING r.id, r.project_id, r.status, r.state, r.state_reason, r.attempt, r.pool, r.submission, r.priority, v.verdict, v.delay_ms, v.accumulation
     ), event AS (
       INSERT INTO events (id, project_id, run_id, attempt, level, type, message, data)
       SELECT $10, run.project_id, run.id, run.attempt,
         CASE run.verdict WHEN 'failed' THEN 'error' WHEN 'cancelled' THEN 'info' ELSE CASE WHEN $4 = 'superseded' THEN 'info' ELSE 'warn' END END,
         'message',
         CASE run.verdict
           WHEN 'cancelled' THEN 'The run was cancelled'
           WHEN 'failed' THEN 'The run failed: ' || $7
           WHEN 'retry_smaller' THEN format('%s The run is queued again with micro-batches half as large (accumulation %s); the batch stays the same.', $7, 2 * run.accumulation)
           ELSE $7 || ' The run is queued again and goes on from its last checkpoint.' END,
         jsonb_build_object('cause', $5::text, 'code', $6::text, 'attempt', run.attempt)
       FROM run RETURNING id, level, type, message, data, created_at
     )
     SELECT run.*, to_json(event) AS event, event.created_at AS event_created_at FROM run CROSS JOIN event`,
    [
      ...token,
      ending.status,
      ending.cause,
      ending.code,
      ending.message,
      ending.param ?? null,
      RETRYABLE_CAUSES,
      newId('event'),
    ],
  );
  const row = rows[0];
  if (!row) return null;
  const event = eventMessage({ ...row.event, created_at: row.event_created_at });
  await notify(
    s,
    row.id,
    [statusMessage({ ...row, state_reason: row.state_reason as StateReason | null }), event],
    row.attempt,
  );
  if (row.status === 'queued') await offerRun(s, row, { delayMs: row.delay_ms });
  return row;
}
