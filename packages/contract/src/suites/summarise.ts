import { meanInterval, wilsonInterval } from '../stats/index.js';
import { metricOf } from './metrics.js';
import type { EvaluationFigure, EvaluationItem, EvaluationSummary } from './results.js';
import { SUITES } from './suites.js';

/** Quantities that are a sum over a sum: of which parts of the items, and in what unit of the first. */
const RATIOS = {
  nats_per_token: ['nats', 'tokens', 1],
  bits_per_byte: ['text_nats', 'bytes', Math.LN2],
  token_accuracy: ['correct', 'tokens', 1],
} as const;

/** What of an item its figures are made of. */
type Judged = Pick<EvaluationItem, 'metrics' | 'choices'>;

/** What the items of an evaluation come to. */
export function summarise(suite: string, items: readonly Judged[]): EvaluationSummary {
  const names = [...new Set(items.flatMap(({ metrics }) => Object.keys(metrics)))];
  const unitOf = (name: string) => metricOf(name)?.unit;
  const shares = names.filter((name) => unitOf(name) === 'share');
  const counts = names.filter((name) => unitOf(name) === 'answers');
  // Of nothing there is no quantity: one letter, which nothing stands before, has no bytes that are scored.
  const ratios = Object.entries(RATIOS).filter(
    ([, [over, under]]) => names.includes(over) && items.some(({ metrics }) => (metrics[under] ?? 0) > 0),
  );
  return {
    suite,
    n: items.length,
    metric: SUITES.get(suite)?.metric ?? suite,
    metrics: Object.fromEntries([
      ...ratios.map(([name, [over, under, unit]]): [string, EvaluationFigure] => [
        name,
        ratioOf(items, over, under, unit),
      ]),
      ...shares.map((name): [string, EvaluationFigure] => [name, shareOf(suite, name, items)]),
      ...counts.map((name): [string, EvaluationFigure] => [name, meanOf(name, items)]),
    ]),
  };
}

/**
 * A share of the items that have the figure, with Wilson's interval and what guessing scores on the same items. Where items have shares of their own,
 * of several samples, it is their mean.
 */
function shareOf(suite: string, name: string, all: readonly Judged[]): EvaluationFigure {
  const items = all.filter(({ metrics }) => metrics[name] !== undefined);
  const values = items.map(({ metrics }) => metrics[name] ?? 0);
  if (values.some((value) => value !== 0 && value !== 1)) return meanOf(name, items, 1);
  const right = sum(values);
  const { low, high } = wilsonInterval(right, items.length);
  const chances = items.map(({ choices }) => SUITES.get(suite)?.chance(choices?.length ?? 0) ?? null);
  const chance = chances.includes(null) ? null : sum(chances.map(Number)) / chances.length;
  return {
    value: right / items.length,
    interval: [low, high],
    chance,
    at_chance: chance !== null && low <= chance && chance <= high,
  };
}

/** A mean over the items that have the figure, with the t-interval, cut to what a value can be. */
function meanOf(name: string, items: readonly Judged[], most = Number.POSITIVE_INFINITY): EvaluationFigure {
  const values = items.flatMap(({ metrics }) => metrics[name] ?? []);
  const { mean: value, half } = meanInterval(values);
  const interval: EvaluationFigure['interval'] =
    half === null ? null : [Math.max(0, value - half), Math.min(most, value + half)];
  return { value, interval, chance: null, at_chance: false };
}

const Z95 = 1.959963984540054;
/** With fewer items a spread says little. */
const ITEMS_MIN = 30;

/**
 * A sum over a sum, with an interval by the linear approximation of a ratio's variance, items drawn independently (Cochran 1977, Sampling Techniques,
 * §2.11).
 */
function ratioOf(items: readonly Judged[], over: string, under: string, unit: number): EvaluationFigure {
  const pairs = items.map(({ metrics }) => [(metrics[over] ?? 0) / unit, metrics[under] ?? 0] as const);
  const below = sum(pairs.map(([, y]) => y));
  const value = sum(pairs.map(([x]) => x)) / below;
  const n = items.length;
  const spread = sum(pairs.map(([x, y]) => (x - value * y) ** 2));
  const half = (Z95 * Math.sqrt((spread * n) / (n - 1))) / below;
  const isShown = n >= ITEMS_MIN;
  return { value, interval: isShown ? [value - half, value + half] : null, chance: null, at_chance: false };
}

/**
 * What each item adds to a figure, so that their mean is the figure: of a share its 0 or 1; of a sum over a sum the value at which the ratio is linear in the
 * items (Cochran 1977, §2.11), which pairs two models on the same items.
 */
export function perItem(name: string, items: readonly Judged[]): number[] {
  const ratio = name in RATIOS ? RATIOS[name as keyof typeof RATIOS] : null;
  if (ratio === null) return items.map(({ metrics }) => metrics[name] ?? 0);
  const [over, under, unit] = ratio;
  const pairs = items.map(({ metrics }) => [(metrics[over] ?? 0) / unit, metrics[under] ?? 0] as const);
  const mean = sum(pairs.map(([, y]) => y)) / pairs.length;
  const value = sum(pairs.map(([x]) => x)) / (mean * pairs.length);
  return pairs.map(([x, y]) => value + (x - value * y) / mean);
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
