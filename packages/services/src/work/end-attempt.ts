import type pg from 'pg';
import type { AttemptToken, Services } from '../ground/context.js';
import { notify, statusMessage } from '../ground/publish.js';
import { inTransaction } from '../ground/transaction.js';
import { type FenceOptions, fence, staleAttempt, tokenValues } from './fence.js';
import { type MovedRun, moveRun } from './move-run.js';
import { offerRun } from './offer-run.js';
import { addEvent, type EventRow, eventMessage } from './record-event.js';
import { type Decision, type Ending, type Facts, type Verdict, verdictOf } from './verdict.js';

type LockedRow = Facts & { config: Record<string, unknown>; now: Date };

interface Ended {
  run: MovedRun;
  event: EventRow;
  decision: Decision;
}

/**
 * Ends an attempt that did not finish and decides, under the run's lock, what becomes of its run (`verdictOf`).
 * Returns null when the fence does not let the token through.
 */
export async function endAttempt(
  s: Services,
  token: AttemptToken,
  ending: Ending,
  options: FenceOptions = {},
): Promise<Verdict | null> {
  const ended = await inTransaction(s, async (client): Promise<Ended | null> => {
    const locked = await lockRun(client, token, options);
    if (!locked) return null;
    const decision = verdictOf(locked, ending);
    await client.query(
      'UPDATE attempts SET status = $3, cause = $4, message = $5, finished_at = now() WHERE run_id = $1 AND attempt = $2',
      [token.runId, token.attempt, ending.status, ending.cause, ending.message],
    );
    const run = await moveRun(client, token.runId, statusAfter(decision), patchOf(locked, ending, decision));
    if (!run) throw staleAttempt(token);
    const event = await addEvent(client, run.project_id, token, {
      level: decision.level,
      message: decision.sentence,
      data: { cause: ending.cause, code: ending.code, attempt: token.attempt },
    });
    return { run, event, decision };
  });
  if (!ended) return null;
  const { run, event, decision } = ended;
  await notify(s, run.id, [statusMessage(run), eventMessage(event)], run.attempt);
  if (run.status === 'queued') await offerRun(s, run, { delayMs: decision.delayMs });
  return decision.verdict;
}

/** The facts of a run under its lock; the history is read after the lock is held. */
async function lockRun(
  client: pg.PoolClient,
  token: AttemptToken,
  options: FenceOptions,
): Promise<LockedRow | undefined> {
  const held = await client.query(`WITH ${fence(options)} SELECT id FROM token`, tokenValues(token));
  if (held.rowCount === 0) return undefined;
  const { rows } = await client.query<LockedRow>(
    `SELECT r.state, r.attempt, r.max_attempts AS "maxAttempts", r.config, now() AS now,
       coalesce((r.config ->> 'batch_size')::int, 1) AS "batchSize", coalesce((r.config ->> 'accumulation')::int, 1) AS accumulation,
       h.charged, h.ooms
     FROM runs r CROSS JOIN (
       SELECT count(*) FILTER (WHERE status IN ('failed', 'lost'))::int AS charged, count(*) FILTER (WHERE cause = 'oom')::int AS ooms
       FROM attempts WHERE run_id = $1 AND attempt < $2) h
     WHERE r.id = $1`,
    [token.runId, token.attempt],
  );
  return rows[0];
}

const statusAfter = ({ verdict }: Decision): 'queued' | 'failed' | 'cancelled' =>
  verdict === 'failed' || verdict === 'cancelled' ? verdict : 'queued';

/** The columns of the run that the decision changes, beside its status. */
function patchOf(locked: LockedRow, { message }: Ending, decision: Decision): Record<string, unknown> {
  const { verdict, error, delayMs, accumulation } = decision;
  if (verdict === 'cancelled') return {};
  if (error) return { error_code: error.code, error_message: error.message, error_param: error.param };
  const since = Math.floor(locked.now.getTime() / 1_000);
  return {
    state_reason: { code: 'resuming', message, since },
    ...(delayMs > 0 ? { queued_at: new Date(locked.now.getTime() + delayMs) } : {}),
    ...(verdict === 'retry_smaller' ? { config: { ...locked.config, accumulation } } : {}),
  };
}
