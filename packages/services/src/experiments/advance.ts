import { AppError, explain, isTerminal } from '@moraine/contract';
import { type Cell, cellKey, nextStep } from '@moraine/contract/experiments';
import type { Actor, Services } from '../ground/context.js';
import type { Queryable } from '../ground/transaction.js';
import { cancelRun } from '../training/cancel-run.js';
import { endHeldRun, IS_HELD, promoteRun } from '../training/hold-run.js';
import { pauseRun, resumeRun } from '../training/pause-run.js';
import { type ExperimentRow, toRow } from './experiment-row.js';
import { type LoadedCell, loadCells, toOutcome } from './load-cells.js';
import { cancelDial, scoreDial } from './score-dial.js';
import { holdRow, Outdated, startCell } from './start-cell.js';

/** Experiments whose runs are not what they should be: those that run, and others of which a run has not ended; of one that failed, a held run, which nothing would let go on. */
const UNSETTLED = `SELECT e.id FROM experiments e WHERE e.status = 'running' OR (e.status IN ('paused', 'cancelled') AND EXISTS (
    SELECT FROM runs r JOIN tasks t ON t.id = r.id WHERE r.experiment_id = e.id AND t.finished_at IS NULL AND t.deleted_at IS NULL
      AND (e.status = 'cancelled' OR t.status <> 'paused')))
    OR (e.status = 'cancelled' AND EXISTS (
    SELECT FROM evaluation_tasks v JOIN tasks t ON t.id = v.id WHERE v.experiment_id = e.id AND t.finished_at IS NULL))
    OR (e.status = 'failed' AND EXISTS (
    SELECT FROM runs r JOIN tasks t ON t.id = r.id WHERE r.experiment_id = e.id AND t.deleted_at IS NULL AND ${IS_HELD}))
  ORDER BY e.created_at`;

/** One round: every experiment goes on by what its runs did since. One that cannot does not hold the others up. */
export async function advanceExperiments(s: Services): Promise<void> {
  const { rows } = await s.pg.query<{ id: string }>(UNSETTLED);
  for (const { id } of rows) {
    await advanceExperiment(s, id).catch((error: unknown) => {
      s.log.warn({ err: error, experiment: id }, 'an experiment could not go on now; it is tried again');
    });
  }
}

/**
 * Brings the runs of an experiment to what it asks for: starts the cells that are due, or pauses, resumes or cancels those that there are, or
 * ends it. May be called at any time, by any number of processes, and be killed at any point; the runs are the only state.
 */
export async function advanceExperiment(s: Services, id: string): Promise<void> {
  const found = await s.db.experiment.findUnique({ where: { id } });
  if (!found) return;
  const row = toRow(found);
  const cells = await loadCells(s, row);
  const actor = { projectId: row.projectId, keyId: null };
  if (row.status === 'paused') return pauseAll(s, actor, cells);
  if (row.status === 'cancelled') return cancelAll(s, actor, row, cells);
  if (row.status === 'failed') return endHeld(s, row, cells);
  if (row.status !== 'running') return;
  if (row.isResuming) await resumeAll(s, actor, row, cells);
  await goOn(s, actor, row, cells);
}

async function goOn(s: Services, actor: Actor, row: ExperimentRow, cells: readonly LoadedCell[]): Promise<void> {
  const step = nextStep(row.plan.arms, row.request.seeds, cells.map(toOutcome));
  const runOf = (cell: Cell): string => cells.find((one) => cellKey(one) === cellKey(cell))?.run_id ?? '';
  const check = (client: Queryable): Promise<void> => holdRow(client, row);
  try {
    for (const { cell, at } of step.stop) {
      const message = `The run was stopped at step ${at}: it is not among the best of its experiment there`;
      await endHeldRun(s, { runId: runOf(cell), at, message, check });
    }
    for (const { cell, from, to } of step.promote) {
      const isLast = to >= (cells.find((one) => cellKey(one) === cellKey(cell))?.steps ?? to);
      const message = `The run is among the best of its experiment at step ${from} and goes on to ${isLast ? 'its last step' : `step ${to}`}`;
      await promoteRun(s, { runId: runOf(cell), at: from, message, check }, isLast ? null : to);
    }
    for (const cell of step.start) await startCell(s, row, cell);
    if (step.status === 'running') return;
    if (await scoreDial(s, actor, row)) await end(s, row, step.status, step.reason);
  } catch (error) {
    if (error instanceof Outdated) return;
    if (!(error instanceof AppError) || error.retryable) throw error;
    await end(s, row, 'failed', `a run could not be queued: ${explain(error)}`);
  }
}

/** Ends the runs that wait for a decision that nobody makes any more; `resume` makes them again. */
async function endHeld(s: Services, row: ExperimentRow, cells: readonly LoadedCell[]): Promise<void> {
  const message = `The experiment failed while the run was held: ${row.reason}`;
  const check = (client: Queryable): Promise<void> => holdRow(client, row);
  try {
    for (const { run_id: runId, is_held, hold_step: at } of cells)
      if (is_held && at !== null) await endHeldRun(s, { runId, at, message, check }, 'experiment_failed');
  } catch (error) {
    if (!(error instanceof Outdated)) throw error;
  }
}

/** Unless it has changed since it was looked at. */
async function end(s: Services, row: ExperimentRow, status: 'succeeded' | 'failed', reason: string | null) {
  await s.db.experiment.updateMany({
    where: { id: row.id, revision: row.revision, status: 'running' },
    data: { status, reason, finishedAt: new Date(), revision: { increment: 1 } },
  });
  if (status === 'failed') await advanceExperiment(s, row.id);
}

async function pauseAll(s: Services, actor: Actor, cells: readonly LoadedCell[]): Promise<void> {
  for (const { run_id, status } of cells)
    if (!isTerminal(status) && status !== 'paused') await unlessItEnded(pauseRun(s, actor, run_id));
}

async function cancelAll(
  s: Services,
  actor: Actor,
  { id }: ExperimentRow,
  cells: readonly LoadedCell[],
): Promise<void> {
  for (const { run_id, status } of cells) if (!isTerminal(status)) await unlessItEnded(cancelRun(s, actor, run_id));
  await unlessItEnded(cancelDial(s, actor, id));
}

async function resumeAll(s: Services, actor: Actor, row: ExperimentRow, cells: readonly LoadedCell[]): Promise<void> {
  // One that its search holds refuses.
  for (const { run_id, status } of cells) if (!isTerminal(status)) await unlessItEnded(resumeRun(s, actor, run_id));
  await s.db.experiment.updateMany({
    where: { id: row.id, revision: row.revision },
    data: { isResuming: false },
  });
}

/** A run that changes meanwhile refuses; the next round sees what it has become. */
async function unlessItEnded(change: Promise<unknown>): Promise<void> {
  try {
    await change;
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'conflict') throw error;
  }
}
