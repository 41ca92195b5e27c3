import type { Services } from '@moraine/services';

/** What a fault must not have done; all zero is right. */
export interface Tally {
  lost: number;
  staleWrites: number;
  metricsLost: number;
  metricsDoubled: number;
  healthyTaken: number;
}

interface RunRow {
  id: string;
  status: string;
  steps: number;
  points: number;
  distinct: number;
  rolled: number;
  taken: number;
}

/** Looks at runs that should be done by now. */
export async function tallyOf(
  s: Services,
  runIds: readonly string[],
  { harmsWorkers }: { harmsWorkers: boolean },
): Promise<Tally & { statuses: string[] }> {
  const { rows } = await s.pg.query<RunRow>(
    `SELECT t.id, t.status, r.steps,
       (SELECT count(*)::int FROM metric_points p JOIN metric_series x ON x.id = p.series_id WHERE x.run_id = t.id AND x.name = 'train_loss') AS points,
       (SELECT count(DISTINCT p.step)::int FROM metric_points p JOIN metric_series x ON x.id = p.series_id WHERE x.run_id = t.id AND x.name = 'train_loss') AS distinct,
       (SELECT coalesce(sum(u.n), 0)::int FROM metric_rollups u JOIN metric_series x ON x.id = u.series_id WHERE x.run_id = t.id AND x.name = 'train_loss') AS rolled,
       (SELECT count(*)::int FROM attempts a WHERE a.task_id = t.id AND a.status IN ('failed', 'lost') AND a.cause IS DISTINCT FROM 'storage') AS taken
     FROM tasks t JOIN runs r ON r.id = t.id WHERE t.id = ANY($1)`,
    [runIds],
  );
  const done = rows.filter((row) => row.status === 'succeeded');
  const sum = (of: (row: RunRow) => number): number => done.reduce((total, row) => total + of(row), 0);
  return {
    lost: runIds.length - done.length,
    staleWrites: 0,
    metricsLost: sum(({ steps, distinct }) => Math.max(0, steps - distinct)),
    metricsDoubled: sum(({ points, distinct, rolled }) => points - distinct + Math.max(0, rolled - points)),
    healthyTaken: harmsWorkers ? 0 : rows.reduce((total, row) => total + row.taken, 0),
    statuses: rows.map(({ id, status }) => `${id} ${status}`),
  };
}
