import type { AttemptToken, Services } from '../ground/context.js';
import { trainKind } from '../training/train-kind.js';
import { type Failure, failTask, holdTask, releaseTask } from '../work/end-attempt.js';
import type { Kind } from '../work/kind.js';
import type { Verdict } from '../work/verdict.js';
import { kindOf } from './kinds.js';

/**
 * Ends a task's attempt with a cause; the task is queued again, failed or (when that was asked for) cancelled or paused.
 * Sending it twice is safe. @throws AppError `stale_attempt`.
 */
export const failAttempt = async (s: Services, token: AttemptToken, failure: Failure): Promise<Verdict | 'already'> =>
  failTask(s, await kindOfTask(s, token), token, failure);

/** Gives a task back without charging it: the worker drains, could not begin, or was asked to pause. @throws AppError `stale_attempt`. */
export const releaseAttempt = async (s: Services, token: AttemptToken, message: string): Promise<Verdict | 'already'> =>
  releaseTask(s, await kindOfTask(s, token), token, message);

/** The run has come to the step that it is held at (`runs.hold_step`), and waits there. @throws AppError `stale_attempt`. */
export const holdAttempt = (s: Services, token: AttemptToken, step: number): Promise<Verdict | 'already'> =>
  holdTask(s, trainKind, token, `The run is held at step ${step} until the others of its experiment are as far.`);

/** A task that is gone is stale whatever it was. */
async function kindOfTask(s: Services, { taskId }: AttemptToken): Promise<Kind> {
  const { rows } = await s.pg.query<{ kind: string }>('SELECT kind FROM tasks WHERE id = $1', [taskId]);
  return kindOf(rows[0]?.kind ?? trainKind.name);
}
