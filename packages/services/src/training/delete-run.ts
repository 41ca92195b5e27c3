import { AppError, type DeletedRun, isTerminal, type RunObject, type RunStatus } from '@moraine/contract';
import type pg from 'pg';
import type { Actor, Services } from '../ground/context.js';
import { notify } from '../ground/publish.js';
import { describeSize } from '../ground/storage-full.js';
import { toSeconds } from '../ground/time.js';
import { inTransaction } from '../ground/transaction.js';
import { type MovedTask, moveTask } from '../work/move-task.js';
import { withdrawOffer } from '../work/offer-task.js';
import { type EventRow, eventMessage, insertEvent } from '../work/record-event.js';
import { taskNotFound, wordsOf } from '../work/require-task.js';
import { getRun } from './get-run.js';
import { RUN_NAME } from './run-query.js';
import { writeCheck } from './verify-kind.js';

/** For how long a deleted run can be restored where nothing else is said. */
const KEEP_DAYS = 7;

interface LockedRow {
  status: RunStatus;
  attempt: number;
  deleted_at: Date | null;
  purge_at: Date | null;
  /** Whether its time to be restored is over. */
  is_over: boolean;
}

const refuse = (message: string, hint: string): AppError =>
  new AppError('conflict', message, { param: 'fine_tuning_job_id', hint });

/**
 * Deletes a run that has ended: from now on nothing finds it, and for `keepDays` it can be restored; then the reconciler removes it and all that is
 * of it. Deleting it again returns the same.
 * @throws AppError `conflict` for a run that has not ended, is being checked, or has a checkpoint that a run which has not ended starts from, or an
 * evaluation or analysis which has not ended is about.
 */
export async function deleteRun(
  s: Services,
  actor: Actor,
  runId: string,
  { keepDays = KEEP_DAYS }: { keepDays?: number } = {},
): Promise<DeletedRun> {
  const { deletion, event, dropped } = await inTransaction(s, async (client) => {
    const run = await lockRun(client, actor, runId);
    if (run.deleted_at !== null) return { deletion: await describe(client, runId), event: null, dropped: [] };
    await refuseNeeded(client, runId, run.status);
    const dropped = await dropChecks(client, runId);
    await client.query(
      `WITH task AS (
         UPDATE tasks SET deleted_at = now(), purge_at = now() + $2 * interval '1 day' WHERE id = $1 RETURNING id, deleted_at
       )
       UPDATE files f SET deleted_at = task.deleted_at FROM task JOIN runs r ON r.id = task.id
       WHERE f.id = r.result_file_id AND f.deleted_at IS NULL`,
      [runId, keepDays],
    );
    const deletion = await describe(client, runId);
    const event = await say(client, actor, runId, run.attempt, `The run was deleted${untilWhen(deletion)}`);
    return { deletion, event, dropped };
  });
  if (event) await notify(s, runId, [eventMessage(event)]);
  for (const task of dropped) await withdrawOffer(s, task);
  return deletion;
}

/**
 * Takes the deletion of a run back, with all that is of it. A run that is not deleted stays as it is.
 * @throws AppError `conflict` when its time is over: it is being removed.
 */
export async function restoreRun(s: Services, actor: Actor, runId: string): Promise<RunObject> {
  const event = await inTransaction(s, async (client) => {
    const run = await lockRun(client, actor, runId);
    if (run.deleted_at === null) return null;
    if (run.is_over)
      throw refuse(`${runId} can no longer be restored: it is being removed for good.`, 'Train it again.');
    await client.query(
      `WITH file AS (
         UPDATE files f SET deleted_at = NULL FROM runs r JOIN tasks t ON t.id = r.id
         WHERE r.id = $1 AND f.id = r.result_file_id AND f.deleted_at = t.deleted_at
       )
       UPDATE tasks SET deleted_at = NULL, purge_at = NULL WHERE id = $1`,
      [runId],
    );
    return say(client, actor, runId, run.attempt, 'The run was restored');
  });
  if (event) await notify(s, runId, [eventMessage(event)]);
  return getRun(s, actor, runId);
}

/** Locks the task against everything, a run that is being created from one of its checkpoints included (`holdStart`). */
async function lockRun(client: pg.PoolClient, { projectId }: Actor, runId: string): Promise<LockedRow> {
  const { rows } = await client.query<LockedRow>(
    `SELECT status, attempt, deleted_at, purge_at, deleted_at IS NOT NULL AND (purge_at IS NULL OR purge_at <= now()) AS is_over
     FROM tasks WHERE id = $1 AND project_id = $2 AND kind = 'train' FOR UPDATE`,
    [runId, projectId],
  );
  const [run] = rows;
  if (!run) throw taskNotFound(runId);
  return run;
}

async function refuseNeeded(client: pg.PoolClient, runId: string, status: RunStatus): Promise<void> {
  if (!isTerminal(status)) {
    throw refuse(
      `${runId} is ${status}; only a run that has ended is deleted.`,
      `Cancel it first: POST /v1/fine_tuning/jobs/${runId}/cancel.`,
    );
  }
  const { rows } = await client.query<{ id: string; kind: string; status: string }>(
    `SELECT t.id, t.kind, t.status FROM tasks t JOIN runs r ON r.id = t.id JOIN checkpoints c ON c.id = r.start_checkpoint_id
     WHERE c.run_id = $1 AND t.finished_at IS NULL
     UNION ALL SELECT t.id, t.kind, t.status FROM tasks t JOIN verifications v ON v.id = t.id WHERE v.run_id = $1 AND t.status = 'running'
     UNION ALL SELECT t.id, t.kind, t.status FROM tasks t JOIN evaluation_tasks e ON e.id = t.id WHERE e.run_id = $1 AND t.finished_at IS NULL
     UNION ALL SELECT t.id, t.kind, t.status FROM tasks t JOIN analysis_tasks a ON a.id = t.id WHERE a.run_id = $1 AND t.finished_at IS NULL
     LIMIT 1`,
    [runId],
  );
  const [user] = rows;
  if (user?.kind === 'verify')
    throw refuse(`The resume of ${runId} is being checked.`, 'Delete it when that has ended.');
  if (user?.kind === 'evaluate' || user?.kind === 'analyse')
    throw refuse(
      `${user.id} ${user.kind}s a model of ${runId} and is ${user.status}.`,
      `Wait until it has ended, or cancel it: POST ${wordsOf(user.kind).list}/${user.id}/cancel.`,
    );
  if (user)
    throw refuse(
      `${user.id} starts from a checkpoint of ${runId} and is ${user.status}.`,
      'Wait until it has ended, or cancel it; then delete this one.',
    );
}

/** Checks of the run that wait are not needed any more. */
async function dropChecks(client: pg.PoolClient, runId: string): Promise<MovedTask[]> {
  const { rows } = await client.query<{ id: string }>(
    'SELECT v.id FROM verifications v JOIN tasks t ON t.id = v.id WHERE v.run_id = $1 AND t.finished_at IS NULL',
    [runId],
  );
  const dropped: MovedTask[] = [];
  for (const { id } of rows) {
    const task = await moveTask(client, id, 'cancelled', {}, ['queued', 'paused']);
    if (!task) throw refuse(`The resume of ${runId} is being checked.`, 'Delete it when that has ended.');
    await writeCheck(client, id, null);
    dropped.push(task);
  }
  return dropped;
}

const say = (
  client: pg.PoolClient,
  { projectId }: Actor,
  taskId: string,
  attempt: number,
  message: string,
): Promise<EventRow> => insertEvent(client, { projectId, taskId, attempt }, { level: 'info', message });

type Removed = DeletedRun['removes'];

const DESCRIBE = `
  SELECT ${RUN_NAME} AS name, t.deleted_at, CASE WHEN t.purge_at > t.deleted_at THEN t.purge_at END AS purge_at,
    r.fine_tuned_model AS model, ARRAY(SELECT r.result_file_id WHERE r.result_file_id IS NOT NULL) AS result_files,
    (SELECT count(*)::int FROM checkpoints WHERE run_id = r.id AND deleted_at IS NULL) AS checkpoints,
    (SELECT count(*)::int FROM adapters WHERE run_id = r.id AND blob_key IS NOT NULL) AS downloads,
    (SELECT count(*)::int FROM evaluations WHERE run_id = r.id) AS evaluations,
    (SELECT coalesce(sum(u.n), 0)::float8 FROM metric_series m JOIN metric_rollups u ON u.series_id = m.id WHERE m.run_id = r.id) AS metric_points,
    (SELECT count(*)::int FROM events WHERE task_id = r.id) AS events,
    (SELECT count(*)::int FROM log_lines WHERE task_id = r.id) AS log_lines,
    ((SELECT coalesce(sum(size_bytes), 0) FROM checkpoints WHERE run_id = r.id AND deleted_at IS NULL)
      + (SELECT coalesce(sum(size_bytes), 0) FROM adapters WHERE run_id = r.id AND blob_key IS NOT NULL)
      + (SELECT coalesce(sum(size_bytes), 0) FROM files WHERE id = r.result_file_id))::float8 AS bytes
  FROM tasks t JOIN runs r ON r.id = t.id WHERE t.id = $1`;

/** What the deletion of a run takes away, as it says it. */
async function describe(client: pg.PoolClient, runId: string): Promise<DeletedRun> {
  const { rows } = await client.query<Removed & { name: string; deleted_at: Date; purge_at: Date | null }>(DESCRIBE, [
    runId,
  ]);
  const [row] = rows;
  if (!row) throw taskNotFound(runId);
  const { name, deleted_at, purge_at, ...removes } = row;
  const times = {
    deleted_at: toSeconds(deleted_at),
    restorable_until: purge_at && toSeconds(purge_at),
  };
  const what = `${name === runId ? runId : `${runId} (${name})`} is deleted${untilWhen(times)}`;
  const message = `${what}. ${times.restorable_until === null ? 'With it go' : 'Then go'} ${listOf(removes)}.`;
  return { id: runId, object: 'run.deleted', deleted: true, name, ...times, removes, message };
}

const untilWhen = ({ restorable_until: until }: Pick<DeletedRun, 'restorable_until'>): string =>
  until === null
    ? ' and is removed for good at once'
    : ` and can be restored until ${new Date(until * 1_000).toISOString().replace('.000Z', 'Z')}`;

const PARTS = {
  checkpoints: 'checkpoint',
  downloads: 'stored download',
  evaluations: 'evaluation',
  metric_points: 'metric point',
  events: 'event',
  log_lines: 'log line',
} as const;

/** All that goes, in words: what there is none of is left out. */
function listOf(removes: Removed): string {
  const counted = Object.entries(PARTS).flatMap(([key, noun]) => {
    const count = removes[key as keyof typeof PARTS];
    return count === 0 ? [] : [`${count.toLocaleString('en')} ${noun}${count === 1 ? '' : 's'}`];
  });
  const files = removes.result_files.map((id) => `the file ${id}`);
  const model = removes.model === null ? [] : [`the model ${removes.model}`];
  return ['its configuration', ...counted, ...files, ...model, `${describeSize(removes.bytes)} of storage`].join(', ');
}
