import type { EventObject } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { cursorOrThrow, type Page, toPage } from '../ground/paging.js';
import { toEventObject } from './record-event.js';
import { requireRun } from './require-run.js';

/** Events of a run, newest first. */
export async function listEvents(
  s: Services,
  actor: Actor,
  runId: string,
  { limit, after }: { limit: number; after?: string },
): Promise<Page<EventObject>> {
  await requireRun(s, actor, runId);
  const from = after ? cursorOrThrow(await s.db.event.findFirst({ where: { id: after, runId } }), after) : null;
  const rows = await s.db.event.findMany({
    where: { runId, ...(from ? { seq: { lt: from.seq } } : {}) },
    orderBy: { seq: 'desc' },
    take: limit + 1,
  });
  return toPage(rows.map(toEventObject), limit);
}
