import type { RunObject, RunStatus } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { cursorOrThrow, type Page, toPage } from '../ground/paging.js';
import { toRunObjects } from './run-objects.js';
import { RUN_PARTS } from './to-run-object.js';
import { trainKind } from './train-kind.js';

export interface ListRuns {
  limit: number;
  after?: string;
  status?: RunStatus;
  /** Runs whose metadata has all of these pairs; null: runs that have none. */
  metadata?: Record<string, string> | null;
}

/** Runs of the caller's project, newest first. */
export async function listRuns(
  s: Services,
  actor: Actor,
  { limit, after, status, metadata }: ListRuns,
): Promise<Page<RunObject>> {
  const from = after
    ? cursorOrThrow(await s.db.task.findFirst({ where: { id: after, projectId: actor.projectId } }), after)
    : null;
  // From the tasks, because their index has the order.
  const page = await s.db.task.findMany({
    where: {
      projectId: actor.projectId,
      kind: trainKind.name,
      deletedAt: null,
      ...(status ? { status } : {}),
      AND: [
        ...(metadata === null ? [{ run: { metadata: { equals: {} } } }] : []),
        ...Object.entries(metadata ?? {}).map(([key, value]) => ({
          run: { metadata: { path: [key], equals: value } },
        })),
        ...(from
          ? [{ OR: [{ createdAt: { lt: from.createdAt } }, { createdAt: from.createdAt, id: { lt: from.id } }] }]
          : []),
      ],
    },
    select: { id: true },
    orderBy: [{ createdAt: 'desc' }, { id: 'desc' }],
    take: limit + 1,
  });
  const ids = page.map(({ id }) => id);
  const runs = await s.db.run.findMany({ where: { id: { in: ids } }, include: RUN_PARTS });
  runs.sort((a, b) => ids.indexOf(a.id) - ids.indexOf(b.id));
  return toPage(await toRunObjects(s, runs), limit);
}
