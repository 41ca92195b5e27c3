import { AppError, type ExperimentObject } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import type { Prisma } from '../ground/db.js';
import { advanceExperiment } from './advance.js';
import { type ExperimentRow, requireExperiment } from './experiment-row.js';
import { getExperiment } from './get-experiment.js';
import { loadCells, toOutcome } from './load-cells.js';

type Status = ExperimentRow['status'];

/** Starts no more runs and pauses those that there are; each saves a checkpoint first. Asking again changes nothing. @throws AppError `conflict` for one that has ended. */
export const pauseExperiment = (s: Services, actor: Actor, id: string): Promise<ExperimentObject> =>
  change(s, actor, id, 'paused', async ({ status }) =>
    status === 'running' ? { status: 'paused', isResuming: false } : status === 'paused' ? null : 'conflict',
  );

/**
 * Goes on with a paused experiment, and with one that failed: the runs that failed are made again, and those that somebody paused go on; of one
 * that runs, too.
 * @throws AppError `conflict` for one that succeeded or was cancelled.
 */
export const resumeExperiment = (s: Services, actor: Actor, id: string): Promise<ExperimentObject> =>
  change(s, actor, id, 'resumed', async (row) => {
    const { status } = row;
    if (status === 'succeeded' || status === 'cancelled') return 'conflict';
    await freeFailed(s, row);
    return { status: 'running', reason: null, finishedAt: null, isResuming: true };
  });

/** Ends an experiment and cancels its runs that have not ended. Asking again changes nothing. @throws AppError `conflict` for one that succeeded. */
export const cancelExperiment = (s: Services, actor: Actor, id: string): Promise<ExperimentObject> =>
  change(s, actor, id, 'cancelled', async ({ status }) => {
    if (status === 'cancelled') return null;
    return status === 'succeeded' ? 'conflict' : { status: 'cancelled', finishedAt: new Date() };
  });

/** Changes what an experiment is to do, then does it; a kill in between leaves it to the reconciler. */
async function change(
  s: Services,
  actor: Actor,
  id: string,
  what: string,
  decide: (row: ExperimentRow) => Promise<Prisma.ExperimentUncheckedUpdateInput | null | 'conflict'>,
): Promise<ExperimentObject> {
  const row = await requireExperiment(s, actor, id);
  const data = await decide(row);
  if (data === 'conflict') throw refuse(id, row.status, what);
  if (data !== null) await updateExperiment(s, row, data);
  await advanceExperiment(s, id);
  return getExperiment(s, actor, id);
}

/** Stores a change of an experiment that is still as it was read. @throws AppError `conflict` otherwise. */
export async function updateExperiment(
  s: Services,
  { id, revision }: ExperimentRow,
  data: Prisma.ExperimentUncheckedUpdateInput,
): Promise<void> {
  const { count } = await s.db.experiment.updateMany({
    where: { id, revision },
    data: { ...data, revision: { increment: 1 } },
  });
  if (count === 0)
    throw new AppError('conflict', `${id} was changed just now.`, { param: 'id', hint: 'Look at it and ask again.' });
}

const refuse = (id: string, status: Status, what: string): AppError =>
  new AppError('conflict', `${id} has ${status === 'cancelled' ? 'been cancelled' : status} and cannot be ${what}.`, {
    param: 'id',
    hint:
      status === 'cancelled'
        ? 'POST /v1/experiments/{id}/clone starts it again.'
        : 'POST /v1/experiments/{id}/grow adds to one that has ended, …/clone starts it again.',
  });

/** Takes the cells from runs that ended without saying anything of their rate, so that others are made. */
async function freeFailed(s: Services, row: ExperimentRow): Promise<void> {
  const failed = (await loadCells(s, row)).filter((cell) => toOutcome(cell).state === 'failed');
  await s.db.run.updateMany({
    where: { id: { in: failed.map(({ run_id }) => run_id) } },
    data: { experimentCell: null },
  });
}
