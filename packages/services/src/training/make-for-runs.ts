import { AppError } from '@moraine/contract';
import type { Services } from '../ground/context.js';
import { checkpointModelName, fineTunedModelName } from '../library/fine-tuned-model-name.js';

/** Tasks that a round makes. */
const PAGE = 100;

/** A run, and the checkpoint of it, that a task is to be made of; without a checkpoint it is of the run's base. */
export interface WantedOfRun {
  runId: string;
  suffix: string | null;
  projectName: string;
  base: { id: string; name: string };
  step: number | null;
  /** The checkpoint is the run's result. */
  isResult: boolean;
}

/** What runs ask for beside their training, which is made once there is something to make it of. */
export interface AskedByRuns<Wanted extends WantedOfRun> {
  /** What it is called in the log, with its article. */
  what: string;
  /** Column of `runs`: more of it may be wanted. */
  open: 'suites_open' | 'analyses_open';
  /** SQL of what is wanted and not there, by run; $1: how many at most. */
  wanted: string;
  make: (wanted: Wanted) => Promise<void>;
}

/**
 * Makes what runs ask for and is not there, a page of it. A run that had ended before and has all of it asks no more. What cannot be made keeps nothing else from being made; of a
 * checkpoint that was dropped, or deleted with its run, meanwhile nothing is. Returns how many were wanted.
 */
export async function makeForRuns<Wanted extends WantedOfRun>(
  s: Services,
  { what, open, wanted: sql, make }: AskedByRuns<Wanted>,
): Promise<number> {
  const { rows: ended } = await s.pg.query<{ id: string }>(
    `SELECT r.id FROM runs r JOIN tasks t ON t.id = r.id WHERE r.${open} AND t.deleted_at IS NULL AND t.finished_at IS NOT NULL`,
  );
  const { rows: wanted } = await s.pg.query<Wanted>(sql, [PAGE]);
  let failed = 0;
  for (const one of wanted)
    await make(one).catch((error: unknown) => {
      if (error instanceof AppError && error.code === 'not_found') return;
      failed++;
      s.log.error(
        { err: error, runId: one.runId, step: one.step },
        `${what} of a run could not be made; it is tried again`,
      );
    });
  if (failed === 0 && wanted.length < PAGE && ended.length > 0)
    await s.pg.query(
      `UPDATE runs SET ${open} = false WHERE id = ANY ($1) AND EXISTS (SELECT 1 FROM tasks t WHERE t.id = runs.id AND t.deleted_at IS NULL)`,
      [ended.map(({ id }) => id)],
    );
  return wanted.length;
}

/** The model's name, as a request would give it: of the base, the result or another checkpoint. */
export function modelOfRun({ runId, suffix, projectName, base, step, isResult }: WantedOfRun): string {
  if (step === null) return base.name;
  const name = fineTunedModelName({ runId, baseName: base.name, projectName, suffix });
  return isResult ? name : checkpointModelName(name, step);
}
