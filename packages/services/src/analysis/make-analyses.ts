import { AnalysisAsk, type RunAnalysis } from '@moraine/contract';
import type { Services } from '../ground/context.js';
import type { Tuned } from '../training/find-subject.js';
import { makeForRuns, modelOfRun, type WantedOfRun } from '../training/make-for-runs.js';
import { announceAnalysis } from './create-analysis.js';
import { storeAnalysis } from './store-analysis.js';

interface Wanted extends WantedOfRun {
  projectId: string;
  task: { pool: string; priority: number; maxAttempts: number };
  place: number;
  asked: RunAnalysis;
  checkpointId: string | null;
  sha256: string | null;
  step: number | null;
}

/**
 * What runs ask for and is not there: of the base at once, of each kept checkpoint, of the result when the run has succeeded. A checkpoint that two of these
 * name is measured once; one that the run wrote anew, again.
 */
const WANTED = `
  WITH open AS (
    SELECT r.id, r.suffix, r.result_step, t.project_id, p.name AS project_name, t.status, b.id AS base_id, b.name AS base_name, t.pool, t.priority,
      t.max_attempts, (x.place - 1)::int AS place, x.asked
    FROM runs r JOIN tasks t ON t.id = r.id JOIN projects p ON p.id = t.project_id JOIN bases b ON b.id = r.base_id
      CROSS JOIN LATERAL jsonb_array_elements(r.config #> '{evaluation,analyses}') WITH ORDINALITY AS x(asked, place)
    WHERE r.analyses_open AND t.deleted_at IS NULL
  ), wanted AS (
    SELECT o.*, NULL::text AS checkpoint_id, NULL::text AS sha256, NULL::int AS step, false AS is_result FROM open o
    WHERE o.asked -> 'when' ? 'before'
    UNION ALL
    SELECT o.*, c.id, c.sha256, c.step, o.status = 'succeeded' AND c.step = o.result_step FROM open o JOIN checkpoints c ON c.run_id = o.id
    WHERE c.deleted_at IS NULL AND (o.asked -> 'when' ? 'during'
      OR o.asked -> 'when' ? 'after' AND o.status = 'succeeded' AND c.step = o.result_step)
  )
  SELECT w.id AS "runId", w.suffix, w.project_id AS "projectId", w.project_name AS "projectName",
    json_build_object('id', w.base_id, 'name', w.base_name) AS base,
    json_build_object('pool', w.pool, 'priority', w.priority, 'maxAttempts', w.max_attempts) AS task,
    w.place, w.asked, w.checkpoint_id AS "checkpointId", w.sha256, w.step, w.is_result AS "isResult"
  FROM wanted w
  WHERE NOT EXISTS (SELECT 1 FROM analysis_tasks a WHERE a.for_run_id = w.id AND a.place = w.place
    AND a.tuned_step IS NOT DISTINCT FROM w.step AND a.tuned_sha256 IS NOT DISTINCT FROM w.sha256)
  ORDER BY w.id, w.place, w.step NULLS FIRST LIMIT $1`;

/** Makes the analyses that runs ask for in `evaluation.analyses`, a page of them. Returns how many were wanted. */
export const makeAnalyses = (s: Services): Promise<number> =>
  makeForRuns<Wanted>(s, { what: 'an analysis', open: 'analyses_open', wanted: WANTED, make: (one) => make(s, one) });

async function make(s: Services, wanted: Wanted): Promise<void> {
  const { runId, projectId, base, task, place, asked, checkpointId, sha256, step } = wanted;
  const tuned: Tuned | null =
    checkpointId === null || sha256 === null ? null : { runId, checkpointId, adapterId: null, sha256, step };
  const stored = await s.db.$transaction((tx) =>
    storeAnalysis(tx, {
      projectId,
      model: modelOfRun(wanted),
      base,
      tuned,
      lambda: tuned === null ? 1 : (asked.lambda ?? 1),
      ask: AnalysisAsk.parse(asked),
      task,
      madeFor: { runId, place },
    }),
  );
  await announceAnalysis(s, stored);
}
