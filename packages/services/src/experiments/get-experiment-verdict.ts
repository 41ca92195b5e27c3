import { type ExperimentVerdict, experimentVerdict, type ResultMetric } from '@moraine/contract/experiments';
import type { Actor, Services } from '../ground/context.js';
import { loadOutcome } from './load-outcome.js';

export interface VerdictQuery {
  metric?: ResultMetric | undefined;
  /** Bits per byte that may be forgotten on source rows. */
  keep?: number | undefined;
}

/** What to use of all that an experiment has trained so far; see `experimentVerdict`. @throws AppError `not_found`. */
export async function getExperimentVerdict(
  s: Services,
  actor: Actor,
  id: string,
  { metric, keep }: VerdictQuery = {},
): Promise<ExperimentVerdict> {
  const verdict = experimentVerdict(await loadOutcome(s, actor, id), { metric, keep });
  return { object: 'experiment.verdict', ...verdict };
}
