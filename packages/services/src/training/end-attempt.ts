import type { AttemptToken, Services } from '../ground/context.js';
import { type Failure, failTask, releaseTask } from '../work/end-attempt.js';
import type { Verdict } from '../work/verdict.js';
import { trainKind } from './train-kind.js';

/**
 * Ends the run's attempt with a cause; the run is queued again, failed or (when that was asked for) cancelled.
 * Sending it twice is safe. @throws AppError `stale_attempt`.
 */
export const failAttempt = (s: Services, token: AttemptToken, failure: Failure): Promise<Verdict | 'already'> =>
  failTask(s, trainKind, token, failure);

/** Gives the run back without charging it: the worker drains, or could not begin. @throws AppError `stale_attempt`. */
export const releaseAttempt = (s: Services, token: AttemptToken, message: string): Promise<Verdict | 'already'> =>
  releaseTask(s, trainKind, token, message);
