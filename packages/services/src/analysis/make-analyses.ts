import { AnalysisAsk, type RunAnalysis } from '@moraine/contract';
import type { Services } from '../ground/context.js';
import { makeForRuns, modelOfRun, type WantedOfRun } from '../training/make-for-runs.js';
import { announceAnalysis } from './create-analysis.js';
import { storeAnalysis } from './store-analysis.js';

interface Wanted extends WantedOfRun {
  projectId: string;
  task: { pool: string; priority: number; maxAttempts: number };
  place: number;
  asked: RunAnalysis;
  checkpointId: string;
  sha256: string;
  step: number;
}

/**
 * What runs ask for and is not there: of each kept checkpoint, of the result when the run has succeeded. A checkpoint that two of these name is
 * measured once.
 */
const WANTED = `
  SELECT r.id AS "runId", r.suffix, t.project_id AS "projectId", p.name AS "projectName", json_build_object('id', b.id, 'name', b.name) AS base,
    json_build_object('pool', t.pool, 'priority', t.priority, 'maxAttempts', t.max_attempts) AS task,
    (x.place - 1)::int AS place, x.asked, c.id AS "checkpointId", c.sha256, c.step, t.status = 'succeeded' AND c.step = r.result_step AS "isResult"
  FROM runs r JOIN tasks t ON t.id = r.id JOIN projects p ON p.id = t.project_id JOIN bases b ON b.id = r.base_id
    CROSS JOIN LATERAL jsonb_array_elements(r.config #> '{evaluation,analyses}') WITH ORDINALITY AS x(asked, place)
    JOIN checkpoints c ON c.run_id = r.id
  WHERE r.analyses_open AND t.deleted_at IS NULL AND c.deleted_at IS NULL
    AND (x.asked -> 'when' ? 'during' OR x.asked -> 'when' ? 'after' AND t.status = 'succeeded' AND c.step = r.result_step)
    AND NOT EXISTS (SELECT 1 FROM analysis_tasks a WHERE a.for_run_id = r.id AND a.place = x.place - 1 AND a.tuned_step = c.step)
  ORDER BY r.id, x.place, c.step LIMIT $1`;

/** Makes the analyses that runs ask for in `evaluation.analyses`, a page of them. Returns how many were wanted. */
export const makeAnalyses = (s: Services): Promise<number> =>
  makeForRuns<Wanted>(s, { what: 'an analysis', open: 'analyses_open', wanted: WANTED, make: (one) => make(s, one) });

async function make(s: Services, wanted: Wanted): Promise<void> {
  const { runId, projectId, base, task, place, asked, checkpointId, sha256, step } = wanted;
  const stored = await s.db.$transaction((tx) =>
    storeAnalysis(tx, {
      projectId,
      model: modelOfRun(wanted),
      base,
      tuned: { runId, checkpointId, adapterId: null, sha256, step },
      lambda: asked.lambda ?? 1,
      ask: AnalysisAsk.parse(asked),
      task,
      madeFor: { runId, place },
    }),
  );
  await announceAnalysis(s, stored);
}
