import type { FailureCause } from '@moraine/contract';
import type { AttemptToken, Services } from '../ground/context.js';
import { endAttempt, type Verdict } from './end-attempt.js';
import { hasEnded, staleAttempt, TOKEN } from './fence.js';

export interface Failure {
  cause: FailureCause;
  code: string;
  message: string;
  param?: string | null;
}

const asKey = (token: AttemptToken): [string, number, string] => [token.runId, token.attempt, token.workerId];

/**
 * Ends the attempt with a cause; the run is queued again, failed or (when that was asked for) cancelled: see `endAttempt`.
 * Sending it twice is safe. @throws AppError `stale_attempt`.
 */
export async function failAttempt(s: Services, token: AttemptToken, failure: Failure): Promise<Verdict | 'already'> {
  const row = await endAttempt(s, TOKEN, asKey(token), { status: 'failed', ...failure });
  if (row) return row.verdict;
  if (await hasEnded(s, token, ['failed'])) return 'already';
  throw staleAttempt(token);
}

/**
 * Gives the run back without charging it: the worker drains, or could not begin. It goes on elsewhere from its last checkpoint.
 * Sending it twice is safe. @throws AppError `stale_attempt`.
 */
export async function releaseAttempt(s: Services, token: AttemptToken, message: string): Promise<Verdict | 'already'> {
  const ending = { status: 'superseded', cause: 'preempted', code: 'released', message } as const;
  const row = await endAttempt(s, TOKEN, asKey(token), ending);
  if (row) return row.verdict;
  if (await hasEnded(s, token, ['superseded'])) return 'already';
  throw staleAttempt(token);
}
