import { AppError, explain, type TaskKind } from '@moraine/contract';
import type { AttemptToken, Services } from '../ground/context.js';
import { announceClaim, type ClaimOptions, claim } from '../work/claim.js';
import { failAttempt } from './end-attempt.js';
import { type Job, loadJob } from './load-job.js';
import { trainKind } from './train-kind.js';

export interface Claim {
  kind: TaskKind;
  token: AttemptToken;
  job: Job;
}

/**
 * Claims the best queued run of a pool and reads what its worker needs; null when there is none. A run that cannot be executed (a file
 * of it is gone) ends `failed` here and the next one is taken: nobody else would end it before its lease runs out.
 */
export async function claimRun(s: Services, options: Omit<ClaimOptions, 'kinds'>): Promise<Claim | null> {
  const claimed = await claim(s, { ...options, kinds: [trainKind.name] });
  if (!claimed) return null;
  const { task, token } = claimed;
  let job: Job;
  try {
    job = await loadJob(s, token);
  } catch (error) {
    const isGone = error instanceof AppError;
    const failure = { cause: isGone ? 'user_data' : 'internal', code: isGone ? error.code : 'internal' } as const;
    const failing = failAttempt(s, token, { ...failure, message: explain(error) });
    if (!isGone) await failing.catch(() => undefined);
    else if (await failing) return claimRun(s, options);
    throw error;
  }
  await announceClaim(s, task);
  return { kind: trainKind.name, token, job };
}
