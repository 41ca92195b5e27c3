import type { StateReason } from '@moraine/contract';
import type pg from 'pg';
import type { AttemptToken, Services } from '../ground/context.js';
import { notify, statusMessage } from '../ground/publish.js';
import { storable } from '../ground/storable.js';
import { type FenceOptions, hasEnded, staleAttempt, underFence } from './fence.js';
import type { Kind } from './kind.js';
import { type MovePatch, moveTask } from './move-task.js';
import { offerTask } from './offer-task.js';
import { eventMessage, insertEvent } from './record-event.js';
import { type Decision, type Ending, type Facts, type Verdict, verdictOf } from './verdict.js';

/** Why an attempt failed. */
export type Failure = Omit<Ending, 'status'>;

type LockedRow = Omit<Facts, 'lessMemory' | 'noun' | 'keeps'> & { now: Date };

/**
 * Ends an attempt that did not finish and decides, under the task's lock, what becomes of its task (`verdictOf`).
 * Returns null when the fence does not let the token through.
 */
export async function endAttempt(
  s: Services,
  kind: Kind,
  token: AttemptToken,
  why: Ending,
  options: FenceOptions = {},
): Promise<Verdict | null> {
  const ending = storable(why);
  const { taskId, attempt } = token;
  const ended = await underFence(
    s,
    token,
    async (client, { project_id }) => {
      const row = await readFacts(client, token);
      const facts = { ...row, noun: kind.noun, keeps: kind.keeps, lessMemory: await kind.lessMemory(client, taskId) };
      const decision = verdictOf(facts, ending);
      await client.query(
        'UPDATE attempts SET status = $3, cause = $4, message = $5, finished_at = now() WHERE task_id = $1 AND attempt = $2',
        [taskId, attempt, ending.status, ending.cause, ending.message],
      );
      const task = await moveTask(client, taskId, decision.next, patchOf(row.now, ending, decision));
      if (!task) throw staleAttempt(token);
      await kind.ended(client, taskId, decision.verdict);
      const { level, sentence: message } = decision;
      const data = { cause: ending.cause, code: ending.code, attempt };
      const event = await insertEvent(client, { ...token, projectId: project_id }, { level, message, data });
      return { task, event, decision };
    },
    options,
  );
  if (!ended) return null;
  const { task, event, decision } = ended;
  await notify(s, task.id, [statusMessage(task), eventMessage(event)], task.attempt);
  if (task.status === 'queued') await offerTask(s, task, { delayMs: decision.delayMs });
  return decision.verdict;
}

/** The facts that every kind has; the caller holds the task's lock. */
async function readFacts(client: pg.PoolClient, token: AttemptToken): Promise<LockedRow> {
  const { rows } = await client.query<LockedRow>(
    `SELECT t.state, t.attempt, t.max_attempts AS "maxAttempts", now() AS now, h.charged, h.ooms, h.storage_faults AS "storageFaults"
     FROM tasks t CROSS JOIN (
       SELECT count(*) FILTER (WHERE status IN ('failed', 'lost') AND cause IS DISTINCT FROM 'storage')::int AS charged,
         count(*) FILTER (WHERE cause = 'oom')::int AS ooms, count(*) FILTER (WHERE cause = 'storage')::int AS storage_faults
       FROM attempts WHERE task_id = $1 AND attempt < $2) h
     WHERE t.id = $1`,
    [token.taskId, token.attempt],
  );
  const row = rows[0];
  if (!row) throw staleAttempt(token);
  return row;
}

/** Why a task waits that somebody has paused, or that is held. */
export const pausedReason = (message: string, at: Date, code: 'paused' | 'held' = 'paused'): StateReason => ({
  code,
  message,
  since: Math.floor(at.getTime() / 1_000),
});

/** The columns of the task that the decision changes, beside its status. */
function patchOf(now: Date, { message }: Ending, { next, isHeld, error, delayMs, sentence }: Decision): MovePatch {
  if (next === 'cancelled') return {};
  if (next === 'paused') return { state_reason: pausedReason(sentence, now, isHeld ? 'held' : 'paused') };
  if (error) return { error_code: error.code, error_message: error.message, error_param: error.param };
  return {
    state_reason: { code: 'resuming', message, since: Math.floor(now.getTime() / 1_000) },
    ...(delayMs > 0 ? { queued_at: new Date(now.getTime() + delayMs) } : {}),
  };
}

/** Ends the attempt with a cause (`endAttempt`). Sending it twice is safe. @throws AppError `stale_attempt`. */
export async function failTask(
  s: Services,
  kind: Kind,
  token: AttemptToken,
  failure: Failure,
): Promise<Verdict | 'already'> {
  return orAlready(s, token, await endAttempt(s, kind, token, { ...failure, status: 'failed' }), 'failed');
}

/**
 * Gives the task back without charging it: the worker drains, could not begin, or was asked to pause. It goes on from where it was.
 * Sending it twice is safe. @throws AppError `stale_attempt`.
 */
export async function releaseTask(
  s: Services,
  kind: Kind,
  token: AttemptToken,
  message: string,
): Promise<Verdict | 'already'> {
  const ending = { status: 'superseded', cause: 'preempted', code: 'released', message } as const;
  return orAlready(s, token, await endAttempt(s, kind, token, ending), 'superseded');
}

/**
 * Gives the task back without charging it, to wait where it is: nobody claims it until whoever holds it lets it go on. Sending it twice is safe.
 * @throws AppError `stale_attempt`.
 */
export async function holdTask(
  s: Services,
  kind: Kind,
  token: AttemptToken,
  message: string,
): Promise<Verdict | 'already'> {
  const ending = { status: 'superseded', cause: 'preempted', code: 'held', message, isHeld: true } as const;
  return orAlready(s, token, await endAttempt(s, kind, token, ending), 'superseded');
}

async function orAlready(
  s: Services,
  token: AttemptToken,
  verdict: Verdict | null,
  status: Ending['status'],
): Promise<Verdict | 'already'> {
  if (verdict) return verdict;
  if (await hasEnded(s, token, [status])) return 'already';
  throw staleAttempt(token);
}
