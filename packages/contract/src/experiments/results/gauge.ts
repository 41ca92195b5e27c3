import { AppError } from '../../errors.js';
import { fitPolynomial, leaveOneGroupOutR2 } from '../../stats/index.js';
import type { ExperimentOutcome } from '../outcome.js';
import type { KlGauge } from './objects.js';
import { baseOf, forgottenOf, resultOf } from './scores.js';

const RUNS_MIN = 20;
const METHODS_MIN = 3;

/**
 * How well the distance from the base, measured on task tokens, foretells what is forgotten: Δ bits per byte of source rows over D = KL(p_base ‖ q),
 * one point a run, its result. RL's Razor (Shenfeld et al. 2025, arXiv:2509.04259) fits the second degree; the linear fit is beside it, and for both
 * how well they foretell a method that they have not seen. With fewer than 20 runs or 3 methods nothing is claimed.
 */
export function klGauge({ arms, runs }: ExperimentOutcome): KlGauge {
  const points = runs
    .filter(({ status }) => status === 'succeeded')
    .flatMap((run) => {
      const end = resultOf(run);
      const forgotten = end === null || end.step === 0 ? null : forgottenOf(end, baseOf(run));
      const arm = arms.find(({ name }) => name === run.arm);
      if (end === null || forgotten === null || end.kl === null || arm === undefined) return [];
      return [{ run_id: run.run_id, arm: arm.name, method: arm.method, color: arm.color, kl: end.kl, forgotten }];
    })
    .sort((a, b) => a.kl - b.kl || (a.run_id < b.run_id ? -1 : 1));
  const methods = [...new Set(points.map(({ method }) => method))].sort();
  const none = { points, methods, quadratic: null, linear: null };
  if (points.length < RUNS_MIN || methods.length < METHODS_MIN)
    return {
      ...none,
      refusal: `no claim is made: ${count(points.length, 'run')} of ${count(methods.length, 'method')} measured both KL to the base and bits per byte of source rows; it takes ${RUNS_MIN} runs of ${METHODS_MIN} methods`,
    };
  try {
    return { points, methods, quadratic: fitDegree(points, 2), linear: fitDegree(points, 1), refusal: null };
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return { ...none, refusal: `no claim is made: ${error.message.replace(/\.$/, '')}` };
  }
}

const count = (n: number, word: string): string => `${n} ${word}${n === 1 ? '' : 's'}`;

function fitDegree(points: KlGauge['points'], degree: number): NonNullable<KlGauge['quadratic']> {
  const x = points.map(({ kl }) => kl);
  const y = points.map(({ forgotten }) => forgotten);
  const groups = points.map(({ method }) => method);
  const { coefficients, r2 } = fitPolynomial(x, y, degree);
  return { coefficients, r2, leave_one_method_out_r2: leaveOneGroupOutR2(x, y, groups, degree) };
}
