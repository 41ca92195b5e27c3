import type { Services } from '@moraine/services';
import type { Fault } from './faults/fault.js';

/** What a fault must not have done; all zero is right. */
export interface Tally {
  lost: number;
  metricsLost: number;
  metricsDoubled: number;
  /** Points that are not what the run measures where nothing happens to it. */
  metricsWrong: number;
  healthyTaken: number;
}

interface RunRow {
  id: string;
  status: string;
  steps: number;
  points: [step: number, value: number][];
  rolled: number;
  taken: number;
}

const ALLOWED: Record<Fault['harms'], number> = { none: 0, one: 1, all: Number.POSITIVE_INFINITY };

/**
 * Looks at runs that should be done by now.
 * @param harms how many of their attempts may have been lost
 * @param lossAt what a run measures at a step where nothing happens to it
 */
export async function tallyOf(
  s: Services,
  runIds: readonly string[],
  { harms, lossAt }: { harms: Fault['harms']; lossAt: (step: number) => number | undefined },
): Promise<Tally & { statuses: string[] }> {
  const { rows } = await s.pg.query<RunRow>(
    `SELECT t.id, t.status, r.steps,
       (SELECT coalesce(json_agg(json_build_array(p.step, p.value)), '[]') FROM metric_points p JOIN metric_series x ON x.id = p.series_id
         WHERE x.run_id = t.id AND x.name = 'train_loss') AS points,
       (SELECT coalesce(sum(u.n), 0)::int FROM metric_rollups u JOIN metric_series x ON x.id = u.series_id WHERE x.run_id = t.id AND x.name = 'train_loss') AS rolled,
       (SELECT count(*)::int FROM attempts a WHERE a.task_id = t.id AND a.status IN ('failed', 'lost') AND a.cause IS DISTINCT FROM 'storage') AS taken
     FROM tasks t JOIN runs r ON r.id = t.id WHERE t.id = ANY($1)`,
    [runIds],
  );
  const done = rows.filter((row) => row.status === 'succeeded');
  const sum = (of: readonly RunRow[], count: (row: RunRow) => number): number =>
    of.reduce((total, row) => total + count(row), 0);
  const distinct = ({ points }: RunRow): number => new Set(points.map(([step]) => step)).size;
  return {
    lost: runIds.length - done.length,
    metricsLost: sum(done, (row) => Math.max(0, row.steps - distinct(row))),
    metricsDoubled: sum(done, (row) => {
      const { length } = row.points;
      return length - distinct(row) + Math.max(0, row.rolled - length);
    }),
    metricsWrong: sum(done, ({ points }) => points.filter(([step, value]) => value !== lossAt(step)).length),
    healthyTaken: Math.max(0, sum(rows, ({ taken }) => taken) - ALLOWED[harms]),
    statuses: rows.map(({ id, status, taken }) => `${id} ${status}, attempts lost: ${taken}`),
  };
}
