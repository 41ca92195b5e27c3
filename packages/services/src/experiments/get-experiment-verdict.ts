import {
  type ExperimentVerdict,
  experimentVerdict,
  type ResultMetric,
  type Verdict,
} from '@moraine/contract/experiments';
import type { Actor, Services } from '../ground/context.js';
import { requireExperiment } from './experiment-row.js';
import { loadItemScores } from './load-item-scores.js';
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
  const outcome = await loadOutcome(s, actor, id);
  const verdict = experimentVerdict(outcome, { metric, keep });
  const items = await itemsOf(s, actor, id, verdict);
  return { object: 'experiment.verdict', ...(items ? experimentVerdict(outcome, { metric, keep, items }) : verdict) };
}

/** What the interval is over where the seeds give none. */
async function itemsOf(s: Services, actor: Actor, id: string, { gain, chosen, metric }: Verdict) {
  if (gain !== null || chosen === null) return null;
  return loadItemScores(s, await requireExperiment(s, actor, id), chosen, metric);
}
