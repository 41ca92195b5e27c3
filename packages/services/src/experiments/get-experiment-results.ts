import {
  type ExperimentCurves,
  type ExperimentFrontier,
  type ExperimentReport,
  type ExperimentTable,
  experimentCurves,
  experimentFrontier,
  experimentReport,
  experimentTable,
  type ResultMetric,
} from '@moraine/contract/experiments';
import type { Actor, Services } from '../ground/context.js';
import { requireExperiment } from './experiment-row.js';
import { loadOutcome } from './load-outcome.js';

/** What results tell; see `experimentTable` for the default. */
export interface ResultQuery {
  metric?: ResultMetric | undefined;
}

/** A row an arm, while runs go on too. @throws AppError `not_found`. */
export async function getExperimentTable(
  s: Services,
  actor: Actor,
  id: string,
  { metric }: ResultQuery = {},
): Promise<ExperimentTable> {
  const { request } = await requireExperiment(s, actor, id);
  return experimentTable(await loadOutcome(s, actor, id), { metric, varies: request.varies });
}

/** Scores over steps and over rates. @throws AppError `not_found`. */
export async function getExperimentCurves(s: Services, actor: Actor, id: string): Promise<ExperimentCurves> {
  return experimentCurves(await loadOutcome(s, actor, id));
}

/** The plane, its front and the KL gauge. @throws AppError `not_found`. */
export async function getExperimentFrontier(
  s: Services,
  actor: Actor,
  id: string,
  { metric }: ResultQuery = {},
): Promise<ExperimentFrontier> {
  return experimentFrontier(await loadOutcome(s, actor, id), { metric });
}

/** The report, with the settings of one final run an arm, or of its first run. @throws AppError `not_found`. */
export async function getExperimentReport(
  s: Services,
  actor: Actor,
  id: string,
  { metric }: ResultQuery = {},
): Promise<ExperimentReport> {
  const { name, status, request } = await requireExperiment(s, actor, id);
  const outcome = await loadOutcome(s, actor, id);
  const table = experimentTable(outcome, { metric, varies: request.varies });
  const told = outcome.arms.flatMap((arm) => {
    const runs = outcome.runs.filter((run) => run.arm === arm.name);
    const run = runs.find(({ phase }) => phase === 'final') ?? runs[0];
    return run === undefined ? [] : [{ arm: arm.name, run_id: run.run_id }];
  });
  const rows = await s.db.run.findMany({
    where: { id: { in: told.map(({ run_id }) => run_id) } },
    select: { id: true, config: true },
  });
  const configOf = new Map(rows.map((row) => [row.id, row.config as Record<string, unknown>]));
  const markdown = experimentReport({
    id,
    name,
    model: request.model,
    status,
    request,
    configs: told.map((one) => ({ ...one, config: configOf.get(one.run_id) ?? {} })),
    table,
    frontier: experimentFrontier(outcome),
  });
  return { object: 'experiment.report', markdown };
}
