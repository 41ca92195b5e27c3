import { AppError } from '@moraine/contract';
import { type Cell, cellKey, cellRequest } from '@moraine/contract/experiments';
import type { Services } from '../ground/context.js';
import type { Prisma } from '../ground/db.js';
import type { Queryable } from '../ground/transaction.js';
import { storeRun } from '../training/create-run.js';
import { newRows } from '../training/new-rows.js';
import { prepareRun } from '../training/prepare-run.js';
import type { ExperimentRow } from './experiment-row.js';

/** The experiment has changed since it was decided what to start; another look decides anew. */
export class Outdated extends Error {}

/**
 * Queues the run of a cell, once: the row of the experiment is locked while its cell is looked for, and the run is stored in the same
 * transaction, so that no kill leaves a cell half made and no two rounds make it twice.
 * @throws Outdated; AppError as `createRun` does.
 */
export async function startCell(s: Services, row: ExperimentRow, cell: Cell): Promise<void> {
  const actor = { projectId: row.projectId, keyId: null };
  const arm = row.plan.arms.find(({ name }) => name === cell.arm);
  if (!arm) throw new Error(`no arm '${cell.arm}' in ${row.id}`);
  const body = cellRequest(row.request, arm, cell);
  const prepared = await prepareRun(s, actor, body, row.templateDate);
  if (prepared.base.id !== row.baseId)
    throw new AppError('conflict', `'${row.request.model}' is another base now than when the experiment began.`, {
      param: 'model',
      hint: 'Clone the experiment: its runs must share a base.',
    });
  const { task, run } = newRows(actor, prepared, body, {});
  const key = cellKey(cell);
  const experiment = {
    experimentId: row.id,
    experimentArm: cell.arm,
    experimentPhase: cell.phase,
    experimentCell: key,
    // Trained as one of the full length, to the first rung.
    holdStep: cell.phase === 'search' && arm.search.type === 'asha' ? (arm.search.rungs[0] ?? null) : null,
  };
  await storeRun(s, { task, run: { ...run, ...experiment } }, prepared, (tx) => findCell(tx, row, key));
}

/** Holds the row of an experiment that is as it was when it was decided what to do. @throws Outdated. */
export async function holdRow(client: Queryable, { id, revision, status }: ExperimentRow): Promise<void> {
  const { rows } = await client.query(
    'SELECT id FROM experiments WHERE id = $1 AND revision = $2 AND status = $3 FOR UPDATE',
    [id, revision, status],
  );
  if (rows.length === 0) throw new Outdated();
}

/** The run that the cell has, while no other round can give it one. A deleted run frees its cell. */
async function findCell(
  tx: Prisma.TransactionClient,
  { id, revision }: ExperimentRow,
  key: string,
): Promise<string | null> {
  const held = await tx.$queryRaw<unknown[]>`
    SELECT id FROM experiments WHERE id = ${id} AND revision = ${revision} AND status = 'running' FOR UPDATE`;
  if (held.length === 0) throw new Outdated();
  const [run] = await tx.$queryRaw<{ id: string; is_deleted: boolean }[]>`
    SELECT r.id, t.deleted_at IS NOT NULL AS is_deleted FROM runs r JOIN tasks t ON t.id = r.id
    WHERE r.experiment_id = ${id} AND r.experiment_cell = ${key}`;
  if (!run?.is_deleted) return run?.id ?? null;
  await tx.run.update({ where: { id: run.id }, data: { experimentCell: null } });
  return null;
}
