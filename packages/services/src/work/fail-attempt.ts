import type { AttemptToken, Services } from '../ground/context.js';
import { endAttempt } from './end-attempt.js';
import { hasEnded, staleAttempt } from './fence.js';
import type { Ending, Verdict } from './verdict.js';

/** Why an attempt failed. */
export type Failure = Omit<Ending, 'status'>;

/**
 * Ends the attempt with a cause; the run is queued again, failed or (when that was asked for) cancelled: see `endAttempt`.
 * Sending it twice is safe. @throws AppError `stale_attempt`.
 */
export async function failAttempt(s: Services, token: AttemptToken, failure: Failure): Promise<Verdict | 'already'> {
  const verdict = await endAttempt(s, token, { ...failure, status: 'failed' });
  if (verdict) return verdict;
  if (await hasEnded(s, token, ['failed'])) return 'already';
  throw staleAttempt(token);
}

/**
 * Gives the run back without charging it: the worker drains, or could not begin. It goes on elsewhere from its last checkpoint.
 * Sending it twice is safe. @throws AppError `stale_attempt`.
 */
export async function releaseAttempt(s: Services, token: AttemptToken, message: string): Promise<Verdict | 'already'> {
  const ending = { status: 'superseded', cause: 'preempted', code: 'released', message } as const;
  const verdict = await endAttempt(s, token, ending);
  if (verdict) return verdict;
  if (await hasEnded(s, token, ['superseded'])) return 'already';
  throw staleAttempt(token);
}
