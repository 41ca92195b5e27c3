import {
  AppError,
  type MethodConfig,
  methodRow,
  type RunOrder,
  type RunSort,
  type RunStatus,
  type RunSummary,
} from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { finite, jsonRows, seconds } from '../ground/json-rows.js';
import { cursorOrThrow, type Page, toPage } from '../ground/paging.js';
import { metadataConditions, RUN_NAME, runConditions, type Values } from './run-query.js';
import { readVerdict, VERDICT, type VerdictRow } from './run-verdict.js';
import { type ProgressRow, toProgress } from './to-run-object.js';
import { trainKind } from './train-kind.js';

export interface SearchRuns {
  limit: number;
  after?: string;
  /** Terms that must all hold; see `runConditions`. */
  q?: string;
  status?: RunStatus;
  /** Runs whose metadata has all of these pairs; null: runs that have none. */
  metadata?: Record<string, string> | null;
  /** Runs of this experiment only. */
  experiment?: string;
  /** These runs only. */
  ids?: readonly string[];
  sort: RunOrder;
  /** Deleted runs that can be restored, in place of those that are not deleted. */
  deleted?: boolean;
  /** Whether to count the runs that match. */
  count: boolean;
}

const IDS_MAX = 100;

/** What to sort by. No value is null, so that a place in the order can be named: what is missing comes last in both directions. */
const SORTS: Record<RunSort, (missing: string) => string> = {
  created: () => 't.created_at',
  finished: (missing) => `coalesce(extract(epoch FROM t.finished_at)::float8, ${missing})`,
  name: () => `lower(${RUN_NAME})`,
  status: () => 't.status',
  base: () => 'b.name',
  method: () => `r.config->'adapter'->>'type'`,
  parameters: () => `(r.config->>'trainable_parameters')::float8`,
  learning_rate: () => `(r.config->'optimizer'->>'learning_rate')::float8`,
  progress: () => 'r.step::float8 / greatest(r.steps, 1)',
  loss: (missing) => `coalesce(r.train_loss, ${missing})`,
  speed: (missing) => `coalesce(r.tokens_per_second, ${missing})`,
};

const FROM = 'FROM tasks t JOIN runs r ON r.id = t.id JOIN bases b ON b.id = r.base_id';

const COLUMNS = `r.id, ${RUN_NAME} AS name, ${seconds('t.created_at')} AS created_at, ${seconds('t.started_at')} AS started_at,
  ${seconds('t.finished_at')} AS finished_at, b.name AS model, t.status, t.state, t.pool, t.priority,
  (r.config->'adapter') - 'target_modules' AS adapter, (r.config->>'trainable_parameters')::float8 AS parameters,
  (r.config->'optimizer'->>'learning_rate')::float8 AS learning_rate,
  r.step, r.steps, r.trained_tokens AS "trainedTokens", ${finite('r.tokens_per_second')} AS "tokensPerSecond",
  ${finite('r.train_loss')} AS "trainLoss", r.pace, ${seconds('t.deleted_at')} AS deleted_at, ${seconds('t.purge_at')} AS purge_at, r.result_step, ${VERDICT}`;

interface SummaryRow extends ProgressRow, VerdictRow {
  id: string;
  name: string;
  created_at: number;
  started_at: number | null;
  finished_at: number | null;
  model: string;
  state: string | null;
  pool: string;
  priority: number;
  adapter: { type: string; rank?: number };
  parameters: number;
  learning_rate: number;
  deleted_at: number | null;
  purge_at: number | null;
  result_step: number | null;
}

/** A page of the runs of the caller's project that match, over all of them, in any order. @throws AppError `invalid_value`. */
export async function searchRuns(
  s: Services,
  actor: Actor,
  search: SearchRuns,
): Promise<Page<RunSummary> & { total_count: number | null }> {
  const values: unknown[] = [];
  const put = (value: unknown): string => `$${values.push(value)}`;
  const where = conditions(actor, search, { put }).join(' AND ');
  const matching = [...values];
  const order = orderOf(search.sort);
  const after = search.after === undefined ? '' : ` AND ${await place(s, actor, search.after, order, put)}`;
  const text = `SELECT ${COLUMNS} ${FROM} WHERE ${where}${after}
    ORDER BY ${order.key} ${order.direction}, t.created_at DESC, t.id DESC LIMIT ${put(search.limit + 1)}`;
  const rows = await jsonRows<SummaryRow>(s, { text, values, keepPlan: isPlain(search) });
  const counted = search.count
    ? await s.pg.query<{ count: number }>(`SELECT count(*)::int AS count ${FROM} WHERE ${where}`, matching)
    : null;
  return {
    ...toPage(rows.map(toSummary), search.limit),
    total_count: counted?.rows[0]?.count ?? null,
  };
}

/** A page without conditions, of which a plan serves for all. */
const isPlain = ({ q, status, experiment, ids, metadata, deleted }: SearchRuns): boolean =>
  !q && !status && !experiment && !ids && !deleted && metadata === undefined;

function conditions(actor: Actor, search: SearchRuns, values: Values): string[] {
  const { q = '', status, experiment, ids, metadata, deleted } = search;
  if (ids && ids.length > IDS_MAX)
    throw new AppError('invalid_value', `'ids' names ${ids.length} runs; at most ${IDS_MAX} at a time.`, {
      param: 'ids',
      hint: 'Ask in parts.',
    });
  return [
    `t.project_id = ${values.put(actor.projectId)} AND t.kind = ${values.put(trainKind.name)} AND ${deleted ? 't.deleted_at IS NOT NULL AND t.purge_at > now()' : 't.deleted_at IS NULL'}`,
    ...(status ? [`t.status = ${values.put(status)}`] : []),
    ...(experiment ? [`r.experiment_id = ${values.put(experiment)}`] : []),
    ...(ids ? [`t.id = ANY (${values.put(ids)}::text[])`] : []),
    ...metadataConditions(metadata, values),
    ...runConditions(q, values),
  ];
}

interface Order {
  key: string;
  direction: 'ASC' | 'DESC';
}

function orderOf(sort: RunOrder): Order {
  const isDown = sort.startsWith('-');
  const key = SORTS[sort.replace('-', '') as RunSort](isDown ? `'-Infinity'::float8` : `'Infinity'::float8`);
  return { key, direction: isDown ? 'DESC' : 'ASC' };
}

/** What comes after a run in an order: later by the key or, among equals, older. */
async function place(
  s: Services,
  actor: Actor,
  after: string,
  { key, direction }: Order,
  put: (value: unknown) => string,
): Promise<string> {
  const { rows } = await s.pg.query<{ id: string }>(
    `SELECT t.id ${FROM} WHERE t.id = $1 AND t.project_id = $2 AND t.kind = $3`,
    [after, actor.projectId, trainKind.name],
  );
  const { id } = cursorOrThrow(rows[0] ?? null, after);
  const cursor = (column: string): string => `(SELECT ${column} ${FROM} WHERE t.id = ${put(id)})`;
  const older = `(t.created_at, t.id) < (SELECT t.created_at, t.id ${FROM} WHERE t.id = ${put(id)})`;
  if (key === 't.created_at' && direction === 'DESC') return older;
  const later = `${key} ${direction === 'DESC' ? '<' : '>'} ${cursor(key)}`;
  return `(${later} OR (${key} = ${cursor(key)} AND ${older}))`;
}

function toSummary(row: SummaryRow): RunSummary {
  const method = methodRow(row.adapter);
  const adapter = { target_modules: [], ...row.adapter } as unknown as MethodConfig;
  return {
    id: row.id,
    object: 'run.summary',
    name: row.name,
    created_at: row.created_at,
    started_at: row.started_at,
    finished_at: row.finished_at,
    model: row.model,
    status: row.status as RunSummary['status'],
    state: row.state as RunSummary['state'],
    verdict: readVerdict(row, row.result_step),
    method: {
      type: method.type,
      name: method.name,
      kind: method.kind(adapter),
      color: method.color,
      rank: row.adapter.rank ?? null,
    },
    trainable_parameters: row.parameters,
    learning_rate: row.learning_rate,
    progress: toProgress(row),
    pool: row.pool,
    priority: row.priority,
    ...(row.deleted_at && {
      deletion: { deleted_at: row.deleted_at, restorable_until: row.purge_at },
    }),
  };
}
