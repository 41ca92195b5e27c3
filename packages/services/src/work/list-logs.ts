import type { LogLine } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { requireTask } from './require-task.js';

export interface LogsQuery {
  attempt?: number;
  /** `seq` of the last line of the page before; 0 begins at the first. */
  after: number;
  limit: number;
}

/** Log lines of a task, oldest first. @throws AppError `not_found`. */
export async function listLogs(
  s: Services,
  actor: Actor,
  taskId: string,
  { attempt, after, limit }: LogsQuery,
): Promise<{ object: 'list'; data: LogLine[]; has_more: boolean }> {
  await requireTask(s, actor, taskId);
  const { rows } = await s.pg.query<Omit<LogLine, 'seq'> & { seq: string }>(
    `SELECT seq, attempt, extract(epoch FROM at)::float8 AS at, level, message FROM log_lines
     WHERE task_id = $1 AND seq > $2 AND ($3::int IS NULL OR attempt = $3) ORDER BY seq LIMIT $4`,
    [taskId, after, attempt ?? null, limit + 1],
  );
  const data = rows.slice(0, limit).map((row) => ({ ...row, seq: Number(row.seq) }));
  return { object: 'list', data, has_more: rows.length > limit };
}
