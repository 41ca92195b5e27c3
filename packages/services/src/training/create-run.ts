import type { RunObject } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import type { Prisma } from '../ground/db.js';
import { findRepeated, type Repeatable } from '../ground/find-repeated.js';
import { notify } from '../ground/publish.js';
import { queryableOf } from '../ground/transaction.js';
import { holdFiles } from '../library/hold-files.js';
import { offerTask } from '../work/offer-task.js';
import { eventMessage, insertEvent } from '../work/record-event.js';
import { dryRun } from './dry-run.js';
import { holdStart } from './find-start.js';
import { getRun } from './get-run.js';
import { type NewRows, newRows } from './new-rows.js';
import { type Prepared, prepareRun } from './prepare-run.js';
import { runFinder } from './run-finder.js';
import { tooLargeForAll } from './too-large.js';

/**
 * Queues a run. Everything that can be wrong with a request is said here, before anything is stored; the row then holds the whole
 * resolved configuration. With `dry_run` the answer shows that configuration and what would be learned, and nothing is stored. The same
 * request sent again by a client's retry, or under the same idempotency key, answers the first run.
 */
export async function createRun(
  s: Services,
  actor: Actor,
  body: unknown,
  repeatable: Repeatable = {},
): Promise<RunObject> {
  const prepared = await prepareRun(s, actor, body);
  const rows = newRows(actor, prepared, body, repeatable);
  if (prepared.request.dry_run) return dryRun(s, rows, prepared);
  const { requestHash } = rows.run;
  const runId = await storeRun(s, rows, prepared, (tx) =>
    findRepeated(tx, actor, requestHash, repeatable, runFinder(tx, actor, requestHash)),
  );
  return getRun(s, actor, runId);
}

/** What a run is stored with. */
export interface RunRows {
  task: NewRows['task'];
  run: Prisma.RunUncheckedCreateInput;
}

/**
 * Stores a run with its first events in one transaction, then wakes a worker; returns its id. `find` runs first inside it: where it returns
 * the id of a run, that one stands for this and nothing is stored.
 */
export async function storeRun(
  s: Services,
  { task, run }: RunRows,
  prepared: Prepared,
  find: (tx: Prisma.TransactionClient) => Promise<string | null>,
): Promise<string> {
  const tooLarge = await tooLargeForAll(s, task.pool, prepared);
  const created = await s.db.$transaction(async (tx) => {
    const repeated = await find(tx);
    if (repeated) return { runId: repeated, events: [] };
    await holdFiles(tx, [...prepared.files.map(({ file }) => file.id), ...prepared.suiteFiles]);
    await holdStart(tx, prepared.start);
    await tx.task.create({ data: task });
    await tx.run.create({ data: run });
    const of = { projectId: task.projectId, taskId: run.id, attempt: 0 };
    const message = `Created fine-tuning job: ${run.id}`;
    const events = [await insertEvent(queryableOf(tx), of, { level: 'info', message })];
    const { note } = prepared;
    if (note) events.push(await insertEvent(queryableOf(tx), of, { level: 'info', message: note }));
    if (tooLarge) events.push(await insertEvent(queryableOf(tx), of, { level: 'warn', message: tooLarge }));
    return { runId: run.id, events };
  });
  if (created.events.length > 0) {
    await offerTask(s, task);
    await notify(s, run.id, created.events.map(eventMessage));
  }
  return created.runId;
}
