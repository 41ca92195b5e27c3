import { AppError, type RunObject, type RunStatus } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { notify, statusMessage } from '../ground/publish.js';
import { inTransaction } from '../ground/transaction.js';
import { askToStop } from '../work/ask-to-stop.js';
import { pausedReason } from '../work/end-attempt.js';
import { offerTask, withdrawOffer } from '../work/offer-task.js';
import { eventMessage, insertEvent } from '../work/record-event.js';
import { untilSettled } from '../work/until-settled.js';
import { getRun } from './get-run.js';
import { IS_HELD, isHeld, moveAndSay } from './hold-run.js';
import { requireRun } from './require-run.js';

const refuse = (runId: string, status: RunStatus, what: string, hint: string): AppError =>
  new AppError('conflict', `${runId} is ${status} and cannot be ${what}.`, { param: 'fine_tuning_job_id', hint });

/**
 * Holds a run. One that waits is `paused` at once; one that runs saves a checkpoint at its next step and becomes `paused` when its worker says
 * so; the attempt is not charged. One that its experiment holds is let go on by nobody but who resumes it. Asking again changes nothing.
 * @throws AppError `conflict` for a run that has ended or is being cancelled.
 */
export function pauseRun(s: Services, actor: Actor, runId: string): Promise<RunObject> {
  return untilSettled(runId, async () => {
    const { task } = await requireRun(s, actor, runId);
    const status = task.status as RunStatus;
    if (task.state === 'cancelling')
      throw refuse(runId, status, 'paused', 'It is being cancelled, which cannot be taken back.');
    if (isHeld(task)) return (await pauseHeld(s, runId)) ? getRun(s, actor, runId) : null;
    const isThere = status === 'paused' || task.state === 'pausing';
    if (!isThere && status !== 'queued' && status !== 'running')
      throw refuse(runId, status, 'paused', 'Only a queued or running run can be.');
    const isDone =
      isThere ||
      (status === 'running' ? await askToStop(s, runId, task.attempt, 'pause') : await pauseQueued(s, runId));
    return isDone ? getRun(s, actor, runId) : null;
  });
}

/** A held run waits for whoever resumes it, and its experiment no more decides about it. False when it was not held any more. */
async function pauseHeld(s: Services, runId: string): Promise<boolean> {
  const reason = pausedReason('It was paused while its experiment held it.', new Date());
  const messages = await inTransaction(s, async (client) => {
    const { rows } = await client.query<Parameters<typeof statusMessage>[0] & { project_id: string }>(
      `UPDATE tasks t SET state_reason = $2 WHERE id = $1 AND ${IS_HELD} RETURNING project_id, status, state, state_reason, attempt`,
      [runId, reason],
    );
    const [task] = rows;
    if (!task) return null;
    const of = { projectId: task.project_id, taskId: runId, attempt: task.attempt };
    const event = await insertEvent(client, of, { level: 'info', message: 'The run was paused' });
    return [eventMessage(event), statusMessage(task)];
  });
  if (messages) await notify(s, runId, messages);
  return messages !== null;
}

/** False when the run was not queued any more. */
async function pauseQueued(s: Services, runId: string): Promise<boolean> {
  const patch = { state_reason: pausedReason('It was paused while it waited.', new Date()) };
  const task = await moveAndSay(s, runId, 'paused', patch, 'queued', 'The run was paused', () => Promise.resolve(true));
  if (task) await withdrawOffer(s, task);
  return task !== null;
}

/**
 * Puts a paused run back into the queue: it goes on from its last checkpoint, to the bit. A pause that was asked for and has not come yet is taken
 * back. Asking again changes nothing.
 * @throws AppError `conflict` for a run that was never paused, that its experiment holds, that has ended or is being cancelled.
 */
export function resumeRun(s: Services, actor: Actor, runId: string): Promise<RunObject> {
  return untilSettled(runId, async () => {
    const run = await requireRun(s, actor, runId);
    const { task } = run;
    const status = task.status as RunStatus;
    if (isHeld(task))
      throw refuse(
        runId,
        status,
        'resumed',
        `Its experiment holds it at step ${run.step}, and lets it go on when it is among the best.`,
      );
    if (status === 'paused') return resumePaused(s, actor, runId);
    if (task.state === 'pausing') return (await takeBack(s, runId)) ? getRun(s, actor, runId) : null;
    const isResumed =
      task.submission > 1 && (status === 'queued' || status === 'running') && task.state !== 'cancelling';
    if (!isResumed) throw refuse(runId, status, 'resumed', 'Only a paused run can be.');
    return getRun(s, actor, runId);
  });
}

/** The run as it is queued again, before a worker is woken; null when it was not paused any more. */
async function resumePaused(s: Services, actor: Actor, runId: string): Promise<RunObject | null> {
  const task = await moveAndSay(
    s,
    runId,
    'queued',
    {},
    'paused',
    'The run was resumed and is queued',
    async (client) => {
      // A wake-up of before the pause must not stand for the one of after it, and the database's clock is the one that claims go by.
      const { rowCount } = await client.query(
        `UPDATE tasks SET submission = submission + 1, queued_at = now() WHERE id = $1 AND status = 'paused'`,
        [runId],
      );
      return rowCount === 1;
    },
  );
  if (!task) return null;
  try {
    return await getRun(s, actor, runId);
  } finally {
    await offerTask(s, task);
  }
}

/** Takes a pause back; an attempt that has stopped for it already is queued again by its end. False when it was too late. */
async function takeBack(s: Services, runId: string): Promise<boolean> {
  const messages = await inTransaction(s, async (client) => {
    const { rows } = await client.query<Parameters<typeof statusMessage>[0] & { project_id: string }>(
      `UPDATE tasks SET state = NULL, state_reason = NULL, submission = submission + 1
       WHERE id = $1 AND status = 'running' AND state = 'pausing' RETURNING project_id, status, state, state_reason, attempt`,
      [runId],
    );
    const task = rows[0];
    if (!task) return null;
    const of = { projectId: task.project_id, taskId: runId, attempt: task.attempt };
    const event = await insertEvent(client, of, { level: 'info', message: 'The pause was taken back' });
    return [eventMessage(event), statusMessage(task)];
  });
  if (messages) await notify(s, runId, messages);
  return messages !== null;
}
