import { AppError, isTerminal, type RunObject, type RunStatus, type StateReason } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { notify } from '../ground/publish.js';
import { publishControl } from '../ground/publish-control.js';
import { insertEvent } from '../work/insert-event.js';
import { withdrawOffer } from '../work/offer-run.js';
import { requireRun } from '../work/require-run.js';
import { transitionRun } from '../work/transition.js';
import { getRun } from './get-run.js';

const WAITING = ['validating_files', 'queued', 'paused'] as const satisfies readonly RunStatus[];
/** A run may change under us between two looks, but not for ever. */
const LOOKS = 5;

/**
 * Ends a run. One that waits is cancelled at once; one that runs is told to stop after its step and becomes `cancelled` when its
 * worker says so (or when its lease runs out). Asking again while it is stopping changes nothing.
 * @throws AppError `conflict` for a run that has ended.
 */
export async function cancelRun(s: Services, actor: Actor, runId: string): Promise<RunObject> {
  for (let look = 0; look < LOOKS; look++) {
    const run = await requireRun(s, actor, runId);
    const status = run.status as RunStatus;
    if (isTerminal(status)) {
      throw new AppError(
        'conflict',
        `${runId} has ${status === 'cancelled' ? 'been cancelled' : status} already and cannot be cancelled.`,
        {
          param: 'fine_tuning_job_id',
          hint: 'A finished run never changes.',
        },
      );
    }
    if (run.state === 'cancelling') return getRun(s, actor, runId);
    const isDone = status === 'running' ? await askToStop(s, runId, run.attempt) : await cancelWaiting(s, runId);
    if (isDone) return getRun(s, actor, runId);
  }
  throw new AppError('unavailable', `${runId} keeps changing.`, { hint: 'Send the request again.' });
}

/** False when the run was not waiting any more. */
async function cancelWaiting(s: Services, runId: string): Promise<boolean> {
  try {
    const { run, event } = await s.db.$transaction(async (tx) => {
      const moved = await transitionRun(tx, { runId, to: 'cancelled', from: WAITING });
      const { projectId, attempt } = moved;
      return {
        run: moved,
        event: await insertEvent(tx, { projectId, runId, attempt, level: 'info', message: 'The run was cancelled' }),
      };
    });
    const data = { status: 'cancelled' as const, state: null, state_reason: null, attempt: run.attempt };
    await Promise.all([
      notify(s, runId, [
        { event: 'event', data: event },
        { event: 'status', data },
      ]),
      withdrawOffer(s, run),
    ]);
    return true;
  } catch (error) {
    if (error instanceof AppError && error.code === 'conflict') return false;
    throw error;
  }
}

/** False when the run was not running any more, or somebody asked first. */
async function askToStop(s: Services, runId: string, attempt: number): Promise<boolean> {
  const reason: StateReason = {
    code: 'cancel_requested',
    message: 'The run stops after the step that it is in.',
    since: Math.floor(Date.now() / 1_000),
  };
  const asked = await s.db.$transaction(async (tx) => {
    const [run] = await tx.run.updateManyAndReturn({
      where: { id: runId, status: 'running', attempt, OR: [{ state: null }, { state: { not: 'cancelling' } }] },
      data: { state: 'cancelling', stateReason: { ...reason } },
    });
    if (!run) return null;
    return insertEvent(tx, {
      projectId: run.projectId,
      runId,
      attempt,
      level: 'info',
      message: 'Cancelling the run was asked for',
    });
  });
  if (!asked) return false;
  const data = { status: 'running' as const, state: 'cancelling' as const, state_reason: reason, attempt };
  await Promise.all([
    publishControl(s, { type: 'cancel', runId }),
    notify(s, runId, [
      { event: 'event', data: asked },
      { event: 'status', data },
    ]),
  ]);
  return true;
}
