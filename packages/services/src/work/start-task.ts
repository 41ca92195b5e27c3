import type { StreamMessage } from '@moraine/contract';
import type pg from 'pg';
import type { AttemptToken, Services } from '../ground/context.js';
import { notify, type StatusRow, statusMessage } from '../ground/publish.js';
import { ASKED } from './ask-to-stop.js';
import { staleAttempt, underToken } from './fence.js';
import { eventMessage, insertEvent, type NewEvent } from './record-event.js';

const STATUS = 'status, state, state_reason, attempt';

/** The kind's own part of a start, in its transaction. */
export type StartPart = (client: pg.PoolClient) => Promise<void>;

/**
 * The attempt prepares to go on from a step; `messages` tell followers before the status does. Call it before anything runs.
 * @throws AppError `stale_attempt`.
 */
export async function startTask(
  s: Services,
  token: AttemptToken,
  { startStep = 0, messages = [] }: { startStep?: number; messages?: readonly StreamMessage[] },
  part?: StartPart,
): Promise<void> {
  const { taskId, attempt } = token;
  const status = await underToken(s, token, async (client) => {
    await client.query(
      `UPDATE attempts SET status = 'provisioning', start_step = $3 WHERE task_id = $1 AND attempt = $2`,
      [taskId, attempt, startStep],
    );
    await part?.(client);
    return one(await client.query<StatusRow>(`SELECT ${STATUS} FROM tasks WHERE id = $1`, [taskId]), token);
  });
  await notify(s, taskId, [...messages, statusMessage(status)], attempt);
}

/** The attempt works from now on; a stop that came meanwhile stays asked for. @throws AppError `stale_attempt`. */
export async function markTaskRunning(
  s: Services,
  token: AttemptToken,
  event: NewEvent,
  part?: StartPart,
): Promise<void> {
  const { taskId, attempt } = token;
  const started = await underToken(s, token, async (client, { project_id }) => {
    await client.query(
      `UPDATE attempts SET status = 'running', progress_at = now() WHERE task_id = $1 AND attempt = $2`,
      [taskId, attempt],
    );
    const moved = await client.query<StatusRow>(
      `UPDATE tasks SET state = CASE WHEN state IN ${ASKED} THEN state END,
         state_reason = CASE WHEN state IN ${ASKED} THEN state_reason END
       WHERE id = $1 RETURNING ${STATUS}`,
      [taskId],
    );
    await part?.(client);
    const stored = await insertEvent(client, { ...token, projectId: project_id }, event);
    return { status: one(moved, token), event: stored };
  });
  await notify(s, taskId, [statusMessage(started.status), eventMessage(started.event)], attempt);
}

function one<Row>({ rows }: { rows: Row[] }, token: AttemptToken): Row {
  const row = rows[0];
  if (!row) throw staleAttempt(token);
  return row;
}
