import { AppError, type SuiteRequest } from '@moraine/contract';
import type { Services } from '../ground/context.js';
import { checkpointModelName, fineTunedModelName } from '../library/fine-tuned-model-name.js';
import type { Tuned } from '../training/find-subject.js';
import { announceEvaluation } from './create-evaluation.js';
import { storeEvaluation } from './store-evaluation.js';

/** Evaluations that a round makes. */
const PAGE = 100;

interface Wanted {
  runId: string;
  suffix: string | null;
  projectId: string;
  projectName: string;
  base: { id: string; name: string };
  task: { pool: string; priority: number; maxAttempts: number };
  place: number;
  asked: SuiteRequest;
  checkpointId: string | null;
  sha256: string | null;
  step: number | null;
  isResult: boolean;
}

/**
 * What runs ask for and is not there: of the base at once, of each kept checkpoint, of the result when the run has succeeded. A checkpoint
 * that two of these name is evaluated once.
 */
const WANTED = `
  WITH open AS (
    SELECT r.id, r.suffix, r.result_step, t.project_id, p.name AS project_name, t.status, b.id AS base_id, b.name AS base_name, t.pool, t.priority,
      t.max_attempts, (x.place - 1)::int AS place, x.suite
    FROM runs r JOIN tasks t ON t.id = r.id JOIN projects p ON p.id = t.project_id JOIN bases b ON b.id = r.base_id
      CROSS JOIN LATERAL jsonb_array_elements(r.config #> '{evaluation,suites}') WITH ORDINALITY AS x(suite, place)
    WHERE r.suites_open AND t.deleted_at IS NULL
  ), wanted AS (
    SELECT o.*, NULL::text AS checkpoint_id, NULL::text AS sha256, NULL::int AS step, false AS is_result FROM open o
    WHERE o.suite -> 'when' ? 'before'
    UNION ALL
    SELECT o.*, c.id, c.sha256, c.step, o.status = 'succeeded' AND c.step = o.result_step FROM open o JOIN checkpoints c ON c.run_id = o.id
    WHERE c.deleted_at IS NULL AND (o.suite -> 'when' ? 'during'
      OR o.suite -> 'when' ? 'after' AND o.status = 'succeeded' AND c.step = o.result_step)
  )
  SELECT w.id AS "runId", w.suffix, w.project_id AS "projectId", w.project_name AS "projectName",
    json_build_object('id', w.base_id, 'name', w.base_name) AS base,
    json_build_object('pool', w.pool, 'priority', w.priority, 'maxAttempts', w.max_attempts) AS task,
    w.place, w.suite AS asked, w.checkpoint_id AS "checkpointId", w.sha256, w.step, w.is_result AS "isResult"
  FROM wanted w
  WHERE NOT EXISTS (SELECT 1 FROM evaluation_tasks e WHERE e.for_run_id = w.id AND e.suite_place = w.place AND e.tuned_step IS NOT DISTINCT FROM w.step)
  ORDER BY w.id, w.place, w.step NULLS FIRST LIMIT $1`;

const ENDED = `
  SELECT r.id FROM runs r JOIN tasks t ON t.id = r.id WHERE r.suites_open AND t.deleted_at IS NULL AND t.finished_at IS NOT NULL`;

/**
 * Makes the evaluations that runs ask for in `evaluation.suites`, a page of them. A run that had ended before and has all of them asks no more.
 * What cannot be made keeps no other from being made. Returns how many were asked for.
 */
export async function makeEvaluations(s: Services): Promise<number> {
  const { rows: ended } = await s.pg.query<{ id: string }>(ENDED);
  const { rows: wanted } = await s.pg.query<Wanted>(WANTED, [PAGE]);
  let failed = 0;
  for (const one of wanted)
    await make(s, one).catch((error: unknown) => {
      if (isGone(error)) return;
      failed++;
      s.log.error(
        { err: error, runId: one.runId, step: one.step },
        'an evaluation of a run could not be made; it is tried again',
      );
    });
  if (failed === 0 && wanted.length < PAGE && ended.length > 0)
    await s.pg.query(
      `UPDATE runs SET suites_open = false WHERE id = ANY ($1) AND EXISTS (SELECT 1 FROM tasks t WHERE t.id = runs.id AND t.deleted_at IS NULL)`,
      [ended.map(({ id }) => id)],
    );
  return wanted.length;
}

/** A checkpoint that was dropped, or deleted with its run, meanwhile is not evaluated. */
const isGone = (error: unknown): boolean => error instanceof AppError && error.code === 'not_found';

async function make(s: Services, wanted: Wanted): Promise<void> {
  const { runId, suffix, projectId, projectName, base, task, place, asked, checkpointId, sha256, step, isResult } =
    wanted;
  const name = fineTunedModelName({ runId, baseName: base.name, projectName, suffix });
  const tuned: Tuned | null =
    checkpointId === null || sha256 === null ? null : { runId, checkpointId, adapterId: null, sha256, step };
  const { lambda, ...items } = asked;
  const stored = await s.db.$transaction((tx) =>
    storeEvaluation(tx, {
      projectId,
      model: tuned === null ? base.name : isResult ? name : checkpointModelName(name, step ?? 0),
      base,
      tuned,
      asked: tuned === null ? items : { ...items, lambda },
      task,
      madeFor: { runId, place },
    }),
  );
  await announceEvaluation(s, stored);
}
