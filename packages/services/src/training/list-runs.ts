import type { RunObject, RunStatus } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { cursorOrThrow, type Page, toPage } from '../ground/paging.js';
import { waitingReasons } from '../work/waiting-reason.js';
import { RUN_PARTS, toRunObject } from './to-run-object.js';

export interface ListRuns {
  limit: number;
  after?: string;
  status?: RunStatus;
  /** Runs whose metadata has all of these pairs. */
  metadata?: Record<string, string>;
}

/** Runs of the caller's project, newest first. */
export async function listRuns(
  s: Services,
  actor: Actor,
  { limit, after, status, metadata = {} }: ListRuns,
): Promise<Page<RunObject>> {
  const from = after
    ? cursorOrThrow(await s.db.run.findFirst({ where: { id: after, projectId: actor.projectId } }), after)
    : null;
  const runs = await s.db.run.findMany({
    where: {
      projectId: actor.projectId,
      deletedAt: null,
      ...(status ? { status } : {}),
      AND: [
        ...Object.entries(metadata).map(([key, value]) => ({ metadata: { path: [key], equals: value } })),
        ...(from
          ? [{ OR: [{ createdAt: { lt: from.createdAt } }, { createdAt: from.createdAt, id: { lt: from.id } }] }]
          : []),
      ],
    },
    include: RUN_PARTS,
    orderBy: [{ createdAt: 'desc' }, { id: 'desc' }],
    take: limit + 1,
  });
  const reasons = await waitingReasons(s, runs);
  return toPage(
    runs.map((run) => toRunObject(run, reasons.get(run.id) ?? null)),
    limit,
  );
}
