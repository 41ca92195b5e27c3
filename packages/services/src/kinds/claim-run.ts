import { AppError, explain, type TaskKind } from '@moraine/contract';
import { type AnalyseJob, loadAnalyseJob } from '../analysis/load-analyse-job.js';
import { type EvaluateJob, loadEvaluateJob } from '../evaluation/load-evaluate-job.js';
import type { AttemptToken, Services } from '../ground/context.js';
import { isServerAway } from '../ground/server-away.js';
import { type Job, loadJob } from '../training/load-job.js';
import { loadVerifyJob, type VerifyJob } from '../training/load-verify-job.js';
import { announceClaim, type ClaimOptions, claim } from '../work/claim.js';
import { failAttempt } from './end-attempt.js';
import { KINDS } from './kinds.js';

/** A claimed task with what its worker needs, by its kind. */
export type Claim = { [K in TaskKind]: { kind: K; token: AttemptToken; job: Jobs[K] } }[TaskKind];

/**
 * Claims the best queued task of a pool and reads what its worker needs; null when there is none. A task that cannot be executed (a file
 * of it is gone) ends `failed` here and the next one is taken: nobody else would end it before its lease runs out.
 */
export async function claimRun(s: Services, options: Omit<ClaimOptions, 'kinds'>): Promise<Claim | null> {
  const claimed = await claim(s, { ...options, kinds: [...KINDS.keys()] });
  if (!claimed) return null;
  const { task, token } = claimed;
  let loaded: Claim;
  try {
    loaded = await load(s, task.kind as TaskKind, token);
  } catch (error) {
    // No fault of the task: the worker has it still, and claims again.
    if (isServerAway(error)) throw error;
    const isGone = error instanceof AppError;
    const failure = { cause: isGone ? 'user_data' : 'internal', code: isGone ? error.code : 'internal' } as const;
    const failing = failAttempt(s, token, { ...failure, message: explain(error) });
    if (!isGone) await failing.catch(() => undefined);
    else if (await failing) return claimRun(s, options);
    throw error;
  }
  await announceClaim(s, task);
  return loaded;
}

interface Jobs {
  train: Job;
  verify: VerifyJob;
  evaluate: EvaluateJob;
  analyse: AnalyseJob;
}

/** How the job of each kind is read. */
const LOADERS: { readonly [K in TaskKind]: (s: Services, token: AttemptToken) => Promise<Jobs[K]> } = {
  train: (s, { taskId }) => loadJob(s, taskId),
  verify: loadVerifyJob,
  evaluate: loadEvaluateJob,
  analyse: loadAnalyseJob,
};

const load = async (s: Services, kind: TaskKind, token: AttemptToken): Promise<Claim> =>
  ({ kind, token, job: await LOADERS[kind](s, token) }) as Claim;
