import { AppError, type EventObject, newId, type StreamMessage } from '@moraine/contract';
import type { AttemptToken, Services } from '../ground/context.js';
import { storable } from '../ground/storable.js';
import { toSeconds } from '../ground/time.js';
import type { Queryable } from '../ground/transaction.js';
import { underToken } from './fence.js';

export interface EventRow {
  id: string;
  level: string;
  type: string;
  message: string;
  data: Record<string, unknown>;
  created_at: Date;
}

export const eventObject = (row: EventRow): EventObject => ({
  object: 'fine_tuning.job.event',
  id: row.id,
  created_at: toSeconds(row.created_at),
  level: row.level as EventObject['level'],
  message: row.message,
  type: row.type as EventObject['type'],
  data: row.data,
});

export const eventMessage = (row: EventRow): StreamMessage => ({ event: 'event', data: eventObject(row) });

export interface NewEvent {
  /** Given by the caller when it may have to send the event again; then it is stored once. */
  id?: string;
  level: 'info' | 'warn' | 'error';
  type?: 'message' | 'metrics';
  message: string;
  data?: Record<string, unknown>;
}

/** Whose event it is; attempt 0 when no attempt is concerned. */
export interface EventOf {
  projectId: string;
  taskId: string;
  attempt: number;
}

/** The one writer of events, inside the transaction of what it tells about; publish the row after the commit. */
export async function insertEvent(
  client: Queryable,
  { projectId, taskId, attempt }: EventOf,
  { id = newId('event'), level, type = 'message', message, data = {} }: NewEvent,
): Promise<EventRow> {
  const { rows } = await client.query<EventRow>(
    `INSERT INTO events (id, project_id, task_id, attempt, level, type, message, data) VALUES ($1, $2, $3, $4, $5, $6, $7, $8::jsonb)
     ON CONFLICT (id) DO UPDATE SET message = EXCLUDED.message
     RETURNING id, level, type, message, data, created_at`,
    [id, projectId, taskId, attempt, level, type, storable(message), JSON.stringify(storable(data))],
  );
  const [row] = rows;
  if (!row) throw new AppError('internal', 'Postgres returned no row for an event that it stored.');
  return row;
}

/** Stores an event of an attempt. @throws AppError `stale_attempt`. */
export const recordEvent = (s: Services, token: AttemptToken, event: NewEvent): Promise<EventRow> =>
  underToken(s, token, (client, { project_id }) => insertEvent(client, { ...token, projectId: project_id }, event));

/** Stores events of an attempt in one transaction, in their order. @throws AppError `stale_attempt`. */
export const recordEvents = (s: Services, token: AttemptToken, events: readonly NewEvent[]): Promise<EventRow[]> =>
  underToken(s, token, async (client, { project_id }) => {
    const rows: EventRow[] = [];
    for (const event of events) rows.push(await insertEvent(client, { ...token, projectId: project_id }, event));
    return rows;
  });
