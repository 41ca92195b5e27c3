import { plainCheck, type ResumeCheck } from '@moraine/contract';
import type pg from 'pg';
import type { AttemptToken, Services } from '../ground/context.js';
import { notify } from '../ground/publish.js';
import { underToken } from '../work/fence.js';
import { finishTask } from '../work/finish-task.js';
import { type EventOf, type EventRow, eventMessage, insertEvent, type NewEvent } from '../work/record-event.js';
import { startTask } from '../work/start-task.js';
import { writeCheck } from './verify-kind.js';

/** How an event says what came of a check. */
export const checkEvent = ({ status, message, ...data }: ResumeCheck): Omit<NewEvent, 'id'> => ({
  level: status === 'equal' ? 'info' : status === 'different' ? 'error' : 'warn',
  message,
  data: { ...data, status },
});

/** Stores what a run found out about its own resume. Sending it twice is safe. @throws AppError `stale_attempt`. */
export const recordOwnCheck = (s: Services, token: AttemptToken, check: ResumeCheck): Promise<void> =>
  underToken(s, token, async (client) => {
    await client.query('UPDATE runs SET resume_check = $2::jsonb WHERE id = $1', [token.taskId, JSON.stringify(check)]);
  });

/** A verification begins. @throws AppError `stale_attempt`. */
export const startVerification = (s: Services, token: AttemptToken): Promise<void> =>
  startTask(s, token, {}, (client) =>
    writeCheck(client, token.taskId, plainCheck('running', 'The steps are repeated.')),
  );

/** Ends a verification with what came of it, which is written into its run and said there. Sending it twice is safe. @throws AppError `stale_attempt`. */
export async function finishVerification(s: Services, token: AttemptToken, check: ResumeCheck): Promise<void> {
  const said: { runId: string; event: EventRow }[] = [];
  await finishTask(s, token, 'succeeded', async (client, outcome) => {
    await writeCheck(client, token.taskId, outcome === 'succeeded' ? check : null);
    const of = await runOf(client, token);
    if (of && outcome === 'succeeded')
      said.push({ runId: of.taskId, event: await insertEvent(client, of, checkEvent(check)) });
    return checkEvent(check);
  });
  for (const { runId, event } of said) await notify(s, runId, [eventMessage(event)]);
}

/** The verification was asked to stop; its run says nothing of it. @throws AppError `stale_attempt`. */
export const cancelVerification = (s: Services, token: AttemptToken): Promise<void> =>
  finishTask(s, token, 'cancelled', async (client) => {
    await writeCheck(client, token.taskId, null);
    return { level: 'info', message: 'The verification was cancelled' };
  });

/** Whose event it is that a verification's run has. */
async function runOf(client: pg.PoolClient, { taskId }: AttemptToken): Promise<EventOf | null> {
  const { rows } = await client.query<{ runId: string; projectId: string }>(
    'SELECT run_id AS "runId", project_id AS "projectId" FROM verifications WHERE id = $1',
    [taskId],
  );
  const [row] = rows;
  return row ? { projectId: row.projectId, taskId: row.runId, attempt: 0 } : null;
}
