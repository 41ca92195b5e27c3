import { AppError, isTerminal, type RunStatus } from '@moraine/contract';
import {
  type AnalysisCourse,
  type CourseHead,
  canariesCourse,
  type MeasuredWeight,
  type MemorisationSummary,
  weightsCourse,
} from '@moraine/contract/analyses';
import type { Actor, Services } from '../ground/context.js';
import { requireRun } from '../training/require-run.js';

export interface RunAnalysesQuery {
  kind: AnalysisCourse['kind'];
  /** Analyses with the settings of this one. */
  analysis?: string | undefined;
}

interface Found {
  id: string;
  status: RunStatus;
  ask: CourseHead['ask'];
  /** The same as text, equal where it is equal. */
  settings: string;
  lambda: number;
  /** Null: of the base alone. */
  step: number | null;
  madeFor: string | null;
  summary: unknown;
}

/**
 * Of a run, oldest first: analyses of its checkpoints, and of its base alone with canaries that its checkpoints are asked for too, which are the same whatever λ is.
 */
const FOUND = `
  SELECT a.id, t.status, a.ask, a.ask::text AS settings, a.lambda, a.tuned_step AS step, a.for_run_id AS "madeFor",
    CASE WHEN a.kind = 'canaries' THEN a.summary END AS summary
  FROM analysis_tasks a JOIN tasks t ON t.id = a.id
  WHERE a.project_id = $1 AND a.kind = $2 AND (a.run_id = $3 OR a.tuned_sha256 IS NULL AND a.base_id = $4)
  ORDER BY t.created_at, a.id`;

/**
 * What analyses measured of a run, over its checkpoints; while it goes on too.
 * @throws AppError `not_found`, for an analysis that is none of this run and kind too.
 */
export async function getRunAnalyses(
  s: Services,
  actor: Actor,
  runId: string,
  { kind, analysis }: RunAnalysesQuery,
): Promise<AnalysisCourse> {
  const { baseId } = await requireRun(s, actor, runId);
  const { rows: found } = await s.pg.query<Found>(FOUND, [actor.projectId, kind, runId, baseId]);
  const tuned = found.filter(({ step }) => step !== null);
  const groups = bySettings(tuned.length > 0 ? tuned : found.filter(({ madeFor }) => madeFor === runId));
  const chosen =
    analysis === undefined ? largest(groups) : groups.find((group) => group.some(({ id }) => id === analysis));
  if (analysis !== undefined && chosen === undefined)
    throw new AppError('not_found', `${analysis} is no analysis of ${kind} of ${runId}.`, {
      param: 'analysis',
      hint: `GET /v1/analyses?run=${runId}&kind=${kind} lists them.`,
    });
  const first = chosen?.[0];
  const all = found.filter((one) => chosen?.includes(one) || (one.step === null && one.settings === first?.settings));
  const steps = latestOfSteps(all);
  const head: CourseHead = {
    run_id: runId,
    ask: first?.ask ?? null,
    lambda: first?.lambda ?? null,
    analyses: steps.map(({ id, step }) => ({ id, step: step ?? 0 })),
    waiting: all.filter(({ status }) => !isTerminal(status)).length,
    others: groups.flatMap((group) => (group === chosen ? [] : otherOf(group))),
  };
  if (kind === 'weights') return weightsCourse(head, await readRows(s, steps));
  return canariesCourse(
    head,
    steps.map(({ step, summary }) => ({ step: step ?? 0, summary: summary as MemorisationSummary })),
  );
}

/** Those of the same settings and the same λ. */
const bySettings = (all: readonly Found[]): Found[][] => {
  const keyOf = ({ settings, lambda }: Found): string => `${lambda} ${settings}`;
  return [...new Set(all.map(keyOf))].map((key) => all.filter((one) => keyOf(one) === key));
};

/** The settings that measured the most checkpoints; of equal ones those that were asked for last. */
const largest = (groups: readonly Found[][]): Found[] | undefined =>
  groups.reduce<Found[] | undefined>(
    (best, group) => (best === undefined || latestOfSteps(group).length >= latestOfSteps(best).length ? group : best),
    undefined,
  );

/** Of each step the latest analysis that has succeeded, steps rising. */
const latestOfSteps = (all: readonly Found[]): Found[] =>
  [...new Map(all.filter(({ status }) => status === 'succeeded').map((one) => [one.step, one])).values()].sort(
    (a, b) => (a.step ?? 0) - (b.step ?? 0),
  );

function otherOf(group: readonly Found[]): CourseHead['others'] {
  const last = group.at(-1);
  if (!last?.ask) return [];
  return [{ analysis: last.id, ask: last.ask, lambda: last.lambda, steps: latestOfSteps(group).length }];
}

async function readRows(s: Services, steps: readonly Found[]): Promise<{ step: number; rows: MeasuredWeight[] }[]> {
  const { rows } = await s.pg.query<{ id: string; row: MeasuredWeight }>(
    'SELECT analysis_id AS id, row FROM analysis_rows WHERE analysis_id = ANY ($1) ORDER BY analysis_id, index',
    [steps.map(({ id }) => id)],
  );
  return steps.map(({ id, step }) => ({
    step: step ?? 0,
    rows: rows.flatMap((one) => (one.id === id ? [one.row] : [])),
  }));
}
