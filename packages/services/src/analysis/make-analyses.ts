import { AnalysisAsk, AppError, type RunAnalysis } from '@moraine/contract';
import type { Services } from '../ground/context.js';
import { checkpointModelName, fineTunedModelName } from '../library/fine-tuned-model-name.js';
import { announceAnalysis } from './create-analysis.js';
import { storeAnalysis } from './store-analysis.js';

/** Analyses that a round makes. */
const PAGE = 100;

interface Wanted {
  runId: string;
  suffix: string | null;
  projectId: string;
  projectName: string;
  base: { id: string; name: string };
  task: { pool: string; priority: number; maxAttempts: number };
  place: number;
  asked: RunAnalysis;
  checkpointId: string;
  sha256: string;
  step: number;
  isResult: boolean;
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

const ENDED = `
  SELECT r.id FROM runs r JOIN tasks t ON t.id = r.id WHERE r.analyses_open AND t.deleted_at IS NULL AND t.finished_at IS NOT NULL`;

/**
 * Makes the analyses that runs ask for in `evaluation.analyses`, a page of them. A run that had ended before and has all of them asks no more.
 * What cannot be made keeps no other from being made. Returns how many were asked for.
 */
export async function makeAnalyses(s: Services): Promise<number> {
  const { rows: ended } = await s.pg.query<{ id: string }>(ENDED);
  const { rows: wanted } = await s.pg.query<Wanted>(WANTED, [PAGE]);
  let failed = 0;
  for (const one of wanted)
    await make(s, one).catch((error: unknown) => {
      if (isGone(error)) return;
      failed++;
      s.log.error(
        { err: error, runId: one.runId, step: one.step },
        'an analysis of a run could not be made; it is tried again',
      );
    });
  if (failed === 0 && wanted.length < PAGE && ended.length > 0)
    await s.pg.query(
      `UPDATE runs SET analyses_open = false WHERE id = ANY ($1) AND EXISTS (SELECT 1 FROM tasks t WHERE t.id = runs.id AND t.deleted_at IS NULL)`,
      [ended.map(({ id }) => id)],
    );
  return wanted.length;
}

/** A checkpoint that was dropped, or deleted with its run, meanwhile is not measured. */
const isGone = (error: unknown): boolean => error instanceof AppError && error.code === 'not_found';

async function make(s: Services, wanted: Wanted): Promise<void> {
  const { runId, suffix, projectId, projectName, base, task, place, asked, checkpointId, sha256, step, isResult } =
    wanted;
  const name = fineTunedModelName({ runId, baseName: base.name, projectName, suffix });
  const stored = await s.db.$transaction((tx) =>
    storeAnalysis(tx, {
      projectId,
      model: isResult ? name : checkpointModelName(name, step),
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
