import type { EventObject } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { cursorOrThrow, type Page, toPage } from '../ground/paging.js';
import { prepared } from '../ground/prepared.js';
import { type EventRow, eventObject } from './record-event.js';
import { taskNotFound } from './require-task.js';

/** Newest first; one row of nulls for a task without events, none where the caller's project has no such task. */
const eventsOf = (condition: string): string => `
  SELECT e.id, e.level, e.type, e.message, e.data, e.created_at FROM tasks t
  LEFT JOIN LATERAL (SELECT * FROM events WHERE task_id = t.id ${condition} ORDER BY seq DESC LIMIT $3) e ON true
  WHERE t.id = $1 AND t.project_id = $2 AND t.deleted_at IS NULL ORDER BY e.seq DESC`;

const NEWEST = eventsOf('');
const OLDER = eventsOf('AND seq < (SELECT seq FROM events WHERE id = $4 AND task_id = t.id)');

/** Events of a task, newest first. @throws AppError `not_found`. */
export async function listEvents(
  s: Services,
  actor: Actor,
  taskId: string,
  { limit, after }: { limit: number; after?: string },
): Promise<Page<EventObject>> {
  const values = [taskId, actor.projectId, limit + 1];
  const query = after ? prepared(OLDER, [...values, after]) : prepared(NEWEST, values);
  const { rows } = await s.pg.query<EventRow | Record<keyof EventRow, null>>(query);
  if (rows.length === 0) throw taskNotFound(taskId);
  const events = rows.filter((row) => row.id !== null).map(eventObject);
  if (after && events.length === 0) cursorOrThrow(await s.db.event.findFirst({ where: { id: after, taskId } }), after);
  return toPage(events, limit);
}
