import { type EventObject, newId, type StreamMessage } from '@moraine/contract';
import type pg from 'pg';
import type { AttemptToken, Services } from '../ground/context.js';
import type { EventModel } from '../ground/generated/models.js';
import { toSeconds } from '../ground/time.js';
import { fenced, TOKEN } from './fence.js';

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

/** The same for a row that Prisma read. */
export const toEventObject = (row: EventModel): EventObject =>
  eventObject({ ...row, created_at: row.createdAt, data: row.data as EventRow['data'] });

export const eventMessage = (row: EventRow): StreamMessage => ({ event: 'event', data: eventObject(row) });

export interface NewEvent {
  /** Given by the caller when it may have to send the event again; then it is stored once. */
  id?: string;
  level: 'info' | 'warn' | 'error';
  type?: 'message' | 'metrics';
  message: string;
  data?: Record<string, unknown>;
}

/** Stores an event of an attempt. @throws AppError `stale_attempt`. */
export async function recordEvent(s: Services, token: AttemptToken, event: NewEvent): Promise<EventRow> {
  return fenced<EventRow>(
    s,
    token,
    `WITH ${TOKEN}
     INSERT INTO events (id, project_id, run_id, attempt, level, type, message, data)
     SELECT $4, token.project_id, token.id, $2, $5, $6, $7, $8 FROM token
     ON CONFLICT (id) DO UPDATE SET message = EXCLUDED.message
     RETURNING id, level, type, message, data, created_at`,
    [event.id ?? newId('event'), event.level, event.type ?? 'message', event.message, JSON.stringify(event.data ?? {})],
  );
}

/** Adds an event inside the transaction of what it tells about; publish it after the commit. */
export async function addEvent(
  client: pg.PoolClient,
  projectId: string,
  token: AttemptToken,
  event: NewEvent,
): Promise<EventRow> {
  const { rows } = await client.query<EventRow>(
    `INSERT INTO events (id, project_id, run_id, attempt, level, type, message, data) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
     RETURNING id, level, type, message, data, created_at`,
    [
      event.id ?? newId('event'),
      projectId,
      token.runId,
      token.attempt,
      event.level,
      event.type ?? 'message',
      event.message,
      JSON.stringify(event.data ?? {}),
    ],
  );
  const [row] = rows;
  if (!row) throw new Error('Postgres returned no row for an event that it stored.');
  return row;
}
