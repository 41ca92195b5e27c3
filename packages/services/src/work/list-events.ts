import type { EventObject } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { cursorOrThrow, type Page, toPage } from '../ground/paging.js';
import { toEventObject } from './record-event.js';
import { requireTask } from './require-task.js';

/** Events of a task, newest first. */
export async function listEvents(
  s: Services,
  actor: Actor,
  taskId: string,
  { limit, after }: { limit: number; after?: string },
): Promise<Page<EventObject>> {
  await requireTask(s, actor, taskId);
  const from = after ? cursorOrThrow(await s.db.event.findFirst({ where: { id: after, taskId } }), after) : null;
  const rows = await s.db.event.findMany({
    where: { taskId, ...(from ? { seq: { lt: from.seq } } : {}) },
    orderBy: { seq: 'desc' },
    take: limit + 1,
  });
  return toPage(rows.map(toEventObject), limit);
}
