import { AppError, isTerminal, type RunStatus } from '@moraine/contract';
import { Prisma } from '../ground/db.js';
import type { RunModel } from '../ground/generated/models.js';

/** Every change of a run's status that there is. Terminal states never change. */
const MOVES: Readonly<Record<RunStatus, readonly RunStatus[]>> = {
  validating_files: ['queued', 'failed', 'cancelled'],
  queued: ['running', 'paused', 'failed', 'cancelled'],
  running: ['queued', 'paused', 'succeeded', 'failed', 'cancelled'],
  paused: ['queued', 'failed', 'cancelled'],
  succeeded: [],
  failed: [],
  cancelled: [],
};

export const canMove = (from: RunStatus, to: RunStatus): boolean => MOVES[from].includes(to);

/** Statuses that may become `to`: what a hand-written `UPDATE … WHERE status = ANY($1)` expects. */
export const statusesBefore = (to: RunStatus): RunStatus[] =>
  (Object.keys(MOVES) as RunStatus[]).filter((from) => canMove(from, to));

export interface Transition {
  runId: string;
  to: RunStatus;
  /** Statuses that the caller expects; default every one that may become `to`. */
  from?: readonly RunStatus[];
  /** Fencing token: the write is refused unless this is still the run's attempt. */
  attempt?: number;
  patch?: Omit<Prisma.RunUncheckedUpdateManyInput, 'status' | 'id' | 'projectId' | 'attempt'>;
}

/**
 * Moves a run in one UPDATE that expects its old status, so of two movers one wins. `state` is cleared unless the patch sets it, and
 * terminal statuses get their time.
 * @throws AppError `conflict` when the run is not in an expected status, `stale_attempt` when another attempt owns it, `not_found`.
 */
export async function transitionRun(
  tx: Prisma.TransactionClient,
  { runId, to, from, attempt, patch }: Transition,
): Promise<RunModel> {
  const expected = (from ?? statusesBefore(to)).filter((status) => canMove(status, to));
  const [moved] = await tx.run.updateManyAndReturn({
    where: { id: runId, status: { in: expected }, deletedAt: null, ...(attempt === undefined ? {} : { attempt }) },
    data: {
      state: null,
      stateReason: Prisma.DbNull,
      finishedAt: isTerminal(to) ? new Date() : null,
      ...patch,
      status: to,
    },
  });
  if (moved) return moved;
  const run = await tx.run.findUnique({ where: { id: runId } });
  if (!run) throw new AppError('not_found', `No fine-tuning job '${runId}'.`);
  if (attempt !== undefined && run.attempt !== attempt) {
    throw new AppError('stale_attempt', `Attempt ${attempt} of ${runId} was replaced by attempt ${run.attempt}.`);
  }
  throw new AppError('conflict', `${runId} is ${run.status} and cannot become ${to}.`, {
    param: 'status',
    hint: isTerminal(run.status as RunStatus)
      ? 'A finished run never changes; create a new one.'
      : `Only ${expected.join(', ') || 'nothing'} can.`,
  });
}
