import type { EventObject } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import type { Page } from '../ground/paging.js';
import { listEvents } from '../work/list-events.js';
import { requireTask } from '../work/require-task.js';

/** Events of an analysis, newest first. @throws AppError `not_found`. */
export async function listAnalysisEvents(
  s: Services,
  actor: Actor,
  id: string,
  page: { limit: number; after?: string },
): Promise<Page<EventObject>> {
  await requireTask(s, actor, id, 'analyse');
  return listEvents(s, actor, id, page);
}
