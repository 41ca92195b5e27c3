import { AppError, type EvaluationComparison, type EvaluationTaskObject, nearest } from '@moraine/contract';
import { bootstrapDifference, compareVerdicts } from '@moraine/contract/stats';
import { type EvaluationItem, metricOf, perItem } from '@moraine/contract/suites';
import type { Actor, Services } from '../ground/context.js';
import { getEvaluation } from './get-evaluation.js';
import { toItem } from './item-row.js';

/** The bootstrap holds this process for a tenth of a millisecond an item. */
export const ITEMS_MAX = 20_000;

export interface CompareEvaluations {
  /** Id of the baseline. */
  with: string;
  /** Default: what the suite is known by. */
  metric?: string;
  limit: number;
}

/**
 * The difference between two evaluations of the same items, paired item by item.
 * @throws AppError `not_ready` for one that has not succeeded; `conflict` saying what they do not have in common.
 */
export async function compareEvaluations(
  s: Services,
  actor: Actor,
  id: string,
  { with: other, metric: asked, limit }: CompareEvaluations,
): Promise<EvaluationComparison> {
  const one = await getEvaluation(s, actor, id);
  const baseline = await getEvaluation(s, actor, other);
  for (const each of [one, baseline]) refuseUnfinished(each);
  refuseDifferent(one, baseline);
  const metric = metricIn(one, baseline, asked);
  const [items, others] = itemsWith(metric, await itemsOf(s, id), await itemsOf(s, other));
  const isShare = metricOf(metric)?.unit === 'share' && hasItself(items, metric);
  const [values, before] = [perItem(metric, items), perItem(metric, others)];
  const { difference, low, high, n } = bootstrapDifference(values, before);
  const isVerdict = isShare && [...values, ...before].every((value) => value === 0 || value === 1);
  const verdicts = compareVerdicts(
    values.map((value) => value === 1),
    before.map((value) => value === 1),
  );
  return {
    object: 'evaluation.comparison',
    evaluation: id,
    baseline: other,
    suite: one.suite,
    metric,
    n,
    value: figureOf(one, metric),
    baseline_value: figureOf(baseline, metric),
    difference,
    interval: [low, high],
    verdicts: isVerdict
      ? {
          both_right: verdicts.bothRight,
          only_evaluation: verdicts.onlyFirst,
          only_baseline: verdicts.onlySecond,
          both_wrong: verdicts.bothWrong,
          p: verdicts.p,
        }
      : null,
    items: mostDifferent(items, others, values, before, limit),
  };
}

/** Items of two models that a figure is of: one that items have themselves may be of some only, of those that have an answer; a sum over a sum is of all. */
export function itemsWith<T extends Pick<EvaluationItem, 'metrics'>>(
  metric: string,
  ours: readonly T[],
  theirs: readonly T[],
): [T[], T[]] {
  const isOwn = hasItself(ours, metric);
  // Of a row that an experiment's runs leave out no token is scored.
  const isOf = (one: T | undefined): boolean => (isOwn ? metric in (one?.metrics ?? {}) : one?.metrics.tokens !== 0);
  const has = ours.map((one, i) => isOf(one) && isOf(theirs[i]));
  return [ours.filter((_, i) => has[i]), theirs.filter((_, i) => has[i])];
}

const hasItself = (items: readonly Pick<EvaluationItem, 'metrics'>[], metric: string): boolean =>
  items.some(({ metrics }) => metric in metrics);

function refuseUnfinished({ id, status }: EvaluationTaskObject): void {
  if (status === 'succeeded') return;
  throw new AppError('not_ready', `${id} is ${status}; evaluations are compared when both have succeeded.`, {
    param: id,
    hint: 'Wait for it, or take one that has.',
  });
}

/** Says what the two differ in, the first that explains the others. */
function refuseDifferent(a: EvaluationTaskObject, b: EvaluationTaskObject): void {
  const count = a.progress.total ?? 0;
  const isDrawnAlike = JSON.stringify(a.sampling) === JSON.stringify(b.sampling);
  if (a.items_sha256 === b.items_sha256 && a.suite === b.suite && isDrawnAlike) {
    if (count <= ITEMS_MAX) return;
    throw new AppError('invalid_value', `${count} items are more than the ${ITEMS_MAX} that are compared here.`, {
      hint: 'Evaluate both under a limit and a seed.',
    });
  }
  const differing = (['suite', 'file', 'examples', 'fewshot', 'limit', 'seed', 'sampling'] as const).find(
    (key) => JSON.stringify(a[key]) !== JSON.stringify(b[key]),
  );
  const [mine, theirs] = [a, b].map((one) => said(one[differing ?? 'items_sha256']));
  throw new AppError(
    'conflict',
    `${a.id} and ${b.id} did not ask the same items: ${differing ?? 'items_sha256'} is ${mine} there and ${theirs} here.`,
    { param: 'with', hint: 'Evaluate both models with the same suite, file, examples, limit, seed and sampling.' },
  );
}

const said = (value: unknown): string =>
  value === null ? 'not set' : typeof value === 'object' ? JSON.stringify(value) : String(value);

function metricIn(one: EvaluationTaskObject, baseline: EvaluationTaskObject, asked: string | undefined): string {
  const both = Object.keys(one.summary?.metrics ?? {}).filter((name) => name in (baseline.summary?.metrics ?? {}));
  const metric = asked ?? one.summary?.metric ?? '';
  if (both.includes(metric)) return metric;
  const near = nearest(metric, both);
  throw new AppError('invalid_value', `There is no figure '${metric}' of both.`, {
    param: 'metric',
    hint: near ? `Did you mean '${near}'?` : `There are ${both.join(', ')}.`,
  });
}

const figureOf = ({ summary }: EvaluationTaskObject, metric: string): number =>
  summary?.metrics[metric]?.value ?? Number.NaN;

async function itemsOf(s: Services, evaluationId: string): Promise<EvaluationItem[]> {
  return (
    await s.db.scoredItem.findMany({ where: { evaluationId }, omit: { samples: true }, orderBy: { index: 'asc' } })
  ).map(toItem);
}

function mostDifferent(
  items: readonly EvaluationItem[],
  others: readonly EvaluationItem[],
  values: readonly number[],
  before: readonly number[],
  limit: number,
): EvaluationComparison['items'] {
  return items
    .map(({ index, id, prompt, expected, answer }, i) => {
      const [value, baseline] = [values[i] ?? 0, before[i] ?? 0];
      return { index, id, prompt, expected, value, baseline, answer, baseline_answer: others[i]?.answer ?? null };
    })
    .filter(({ value, baseline }) => value !== baseline)
    .sort((a, b) => Math.abs(b.value - b.baseline) - Math.abs(a.value - a.baseline) || a.index - b.index)
    .slice(0, limit);
}
