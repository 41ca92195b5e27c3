import { AppError, type StepRecord } from '@moraine/contract';
import type { Services } from '../ground/context.js';
import type { JobCheckpoint } from './load-job.js';

/** The steps that a verification repeats: from one checkpoint of a run to a later one, with what was recorded in between. */
export interface Span {
  from: JobCheckpoint;
  until: JobCheckpoint;
  recorded: StepRecord[];
}

interface SpanRow {
  from: JobCheckpoint;
  until: JobCheckpoint;
  /** An attempt began in between. */
  broken: boolean;
}

const CHECKPOINT = (c: string): string =>
  `json_build_object('step', ${c}.step, 'blobKey', ${c}.blob_key, 'sizeBytes', ${c}.size_bytes, 'sha256', ${c}.sha256, 'bestStep', ${c}.best_step)`;

/**
 * The last two checkpoints of a run that are kept, and that one attempt computed the steps between.
 * @throws AppError `conflict` where there are none.
 */
export async function requireSpan(s: Services, runId: string): Promise<Span> {
  const { rows } = await s.pg.query<SpanRow>(
    `WITH kept AS (SELECT c.*, lag(c.id) OVER (ORDER BY c.step) AS before FROM checkpoints c WHERE c.run_id = $1 AND c.deleted_at IS NULL)
     SELECT ${CHECKPOINT('b')} AS "from", ${CHECKPOINT('k')} AS until,
       EXISTS (SELECT 1 FROM attempts a WHERE a.task_id = $1 AND a.start_step > b.step AND a.start_step < k.step) AS broken
     FROM kept k JOIN checkpoints b ON b.id = k.before ORDER BY k.step DESC`,
    [runId],
  );
  for (const { from, until, broken } of rows) {
    const recorded = broken ? [] : await readRecords(s, runId, from.step, until.step);
    if (recorded.length === until.step - from.step) return { from, until, recorded };
  }
  if (await isRolledUp(s, runId)) {
    throw new AppError('conflict', `The single steps of ${runId} are kept no more, so nothing is left to compare.`, {
      param: 'fine_tuning_job_id',
      hint: 'Verify runs sooner (MORAINE_KEEP_POINTS_DAYS of the API), or create them with verify_resume: true.',
    });
  }
  throw new AppError('conflict', `${runId} has no two checkpoints between which its steps could be repeated.`, {
    param: 'fine_tuning_job_id',
    hint: 'Save more of them (checkpoint.every_steps, checkpoint.keep_last), or create runs with verify_resume: true.',
  });
}

async function readRecords(s: Services, runId: string, from: number, to: number): Promise<StepRecord[]> {
  const { rows } = await s.pg.query<StepRecord>(
    `SELECT l.step, l.value AS loss, g.value AS "gradNorm"
     FROM metric_series ls JOIN metric_points l ON l.series_id = ls.id
     JOIN metric_series gs ON gs.run_id = ls.run_id AND gs.name = 'grad_norm' JOIN metric_points g ON g.series_id = gs.id AND g.step = l.step
     WHERE ls.run_id = $1 AND ls.name = 'train_loss' AND l.step > $2 AND l.step <= $3 ORDER BY l.step`,
    [runId, from, to],
  );
  return rows;
}

async function isRolledUp(s: Services, runId: string): Promise<boolean> {
  return (await s.db.metricSeries.count({ where: { runId, rolledUp: true } })) > 0;
}
