import type { RunStatus } from '@moraine/contract';

/** Every change of a task's status that there is. Terminal states never change. */
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

/** Statuses that may become `to`: what every statement that moves a task expects. */
export const statusesBefore = (to: RunStatus): RunStatus[] =>
  (Object.keys(MOVES) as RunStatus[]).filter((from) => canMove(from, to));
