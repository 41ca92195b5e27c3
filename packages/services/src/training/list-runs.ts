import type { ListedRun, RunStatus } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { cursorOrThrow, type Page, toPage } from '../ground/paging.js';
import { readListedRuns } from './read-runs.js';
import { metadataConditions } from './run-query.js';
import { trainKind } from './train-kind.js';

export interface ListRuns {
  limit: number;
  after?: string;
  status?: RunStatus;
  /** Runs whose metadata has all of these pairs; null: runs that have none. */
  metadata?: Record<string, string> | null;
}

/** Runs of the caller's project, newest first, without their configurations. */
export async function listRuns(
  s: Services,
  actor: Actor,
  { limit, after, status, metadata }: ListRuns,
): Promise<Page<ListedRun>> {
  const values: unknown[] = [];
  const put = (value: unknown): string => `$${values.push(value)}`;
  const conditions = [
    `t.project_id = ${put(actor.projectId)} AND t.kind = ${put(trainKind.name)} AND t.deleted_at IS NULL`,
  ];
  if (after) conditions.push(`(t.created_at, t.id) < ${await placeOf(s, actor, after, put)}`);
  if (status) conditions.push(`t.status = ${put(status)}`);
  conditions.push(...metadataConditions(metadata, { put }));
  // The page is cut before anything else of its runs is read, along the index of the tasks, which has the order.
  const page = `SELECT t.id FROM tasks t JOIN runs r ON r.id = t.id WHERE ${conditions.join(' AND ')}
    ORDER BY t.created_at DESC, t.id DESC LIMIT ${put(limit + 1)}`;
  const runs = await readListedRuns(s, {
    keepPlan: !status && metadata === undefined,
    where: `t.id = ANY (ARRAY(${page})) ORDER BY t.created_at DESC, t.id DESC`,
    values,
  });
  return toPage(runs, limit);
}

/** The place of a run in the order of the list, in SQL. @throws AppError `invalid_value`. */
async function placeOf(s: Services, actor: Actor, after: string, put: (value: unknown) => string): Promise<string> {
  const { rows } = await s.pg.query<{ id: string }>('SELECT id FROM tasks WHERE id = $1 AND project_id = $2', [
    after,
    actor.projectId,
  ]);
  const { id } = cursorOrThrow(rows[0] ?? null, after);
  return `(SELECT created_at, id FROM tasks WHERE id = ${put(id)})`;
}
