import type { ExperimentObject } from '@moraine/contract';
import { cellRequest, countsItems, type PlannedArm, rungRuns } from '@moraine/contract/experiments';
import type { Actor, Services } from '../ground/context.js';
import { evaluationSeconds } from '../training/beside-seconds.js';
import { encodeFiles } from '../training/dry-run.js';
import { estimatePrepared } from '../training/estimate-run.js';
import { prepareRun } from '../training/prepare-run.js';
import { presentWorkers } from '../work/present-workers.js';
import type { PreparedExperiment } from './prepare-experiment.js';

/** Seconds of a run of an arm: one of the search, and one of a final seed, which is scored on more rows. */
type ArmSeconds = { search: number; final: number };
/** With what the start of a run of the search takes, which each promotion has too. */
type ArmTime = ArmSeconds & { start: number };

export interface ExperimentEstimate {
  arms: ArmSeconds[];
  cost: NonNullable<ExperimentObject['cost']>;
}

/** What an experiment takes on its pool, its evaluations and analyses included, by the pace of the runs that the pool has done. @throws AppError as `estimateRun` does. */
export async function estimateExperiment(
  s: Services,
  actor: Actor,
  { spec, plan, base }: PreparedExperiment,
): Promise<ExperimentEstimate> {
  const pool = spec.pool ?? 'default';
  const measuredScore = await evaluationSeconds(s, pool, base.id);
  const arms: (ArmTime & { measured: number; score: number; analyses: { count: number; seconds: number } })[] = [];
  for (const arm of plan.arms) {
    const estimate = async (phase: 'search' | 'final') => {
      const seed = spec.seeds.search;
      const cell = { arm: arm.name, phase, learning_rate: arm.rates[0] ?? 1, seed };
      const prepared = await prepareRun(s, actor, cellRequest(spec, arm, cell), arm.config.template_date);
      return estimatePrepared(s, prepared, await encodeFiles(s, prepared));
    };
    const [search, final] = [await estimate('search'), await estimate('final')];
    const measured = Math.min(search.time.measured_runs, final.time.measured_runs);
    // A run scores each of its files twice; an evaluation starts a process as a run does, and so does an analysis.
    const score = measuredScore ?? final.time.parts.start + final.time.parts.evaluate / 2;
    const { start } = search.time.parts;
    const { count, seconds } = final.beside.analyses;
    const analyses = { count, seconds: seconds ?? count * final.time.parts.start };
    const [searched, whole] = [search.time.total_seconds, final.time.total_seconds];
    arms.push({ search: searched, final: whole, start, measured, score, analyses });
  }
  const finals = new Set(spec.seeds.final).size;
  // Of the base, for the interval over items.
  const ofBase = countsItems(spec) ? 1 : 0;
  const total = (end: 'least' | 'expected' | 'most'): number =>
    ofBase * Math.max(...arms.map(({ score }) => score)) +
    sum(
      plan.arms.map((arm, i) => {
        const time = arms[i];
        if (time === undefined) return 0;
        const beside = scoresOf(spec, end) * time.score + time.analyses.seconds;
        return secondsOf(arm, time, finals, end) + finals * beside;
      }),
    );
  const scores = (end: 'least' | 'most'): number => ofBase + plan.arms.length * finals * scoresOf(spec, end);
  const analyses = finals * sum(arms.map((arm) => arm.analyses.count));
  const workers = await presentWorkers(s, pool);
  return {
    arms: arms.map(({ search, final }) => ({ search, final })),
    cost: {
      seconds: {
        ...{ least: total('least'), most: total('most') },
        ...(plan.arms.some(({ rungs }) => rungs !== undefined) ? { expected: total('expected') } : {}),
      },
      beside: {
        evaluations: { least: scores('least'), most: scores('most') },
        analyses: { least: analyses, most: analyses },
      },
      workers: workers.length,
      measured_runs: Math.min(...arms.map(({ measured }) => measured)),
    },
  };
}

/** Of all runs of an arm. Those that stop at a rung count by their steps and start once a rung; what is expected of a search without rungs is the least. */
function secondsOf(
  { runs, rungs }: PlannedArm,
  { search, final, start }: ArmTime,
  finals: number,
  end: 'least' | 'expected' | 'most',
): number {
  const whole = runs[end === 'expected' ? 'least' : end] - finals;
  const searched = rungs
    ? rungRuns(rungs, end) * (search - start) + sum(rungs.map((rung) => rung.runs[end])) * start
    : whole * search;
  return searched + finals * final;
}

/** Evaluations of a final run after its end; see `nextDial` and `itemScores`: test rows where validation rows choose a part of the update, or items are counted. */
function scoresOf(spec: PreparedExperiment['spec'], end: 'least' | 'expected' | 'most'): number {
  const { lambdas, evaluation } = spec;
  const isTested = lambdas.length > 0 && end === 'most' && evaluation.test !== undefined;
  return lambdas.length * (1 + evaluation.source.length) + (isTested || countsItems(spec) ? 1 : 0);
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
