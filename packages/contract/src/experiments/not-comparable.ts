import { methodRow } from '../methods/registry.js';
import { checkRates } from './check-rates.js';
import type { ComparedArm, ComparedRun, Comparison, Factor, NotComparable } from './comparison.js';

/** Adapters may differ by so much in what they train. */
export const COUNTS_APART = 0.05;

/**
 * Computes why arms are not comparable; an empty list where they are. What all runs must share: base, rows, evaluation items, sequence length and settings; for equal seeds order and, at the
 * rates that are reported, tokens: steps that end within an epoch have others with another seed. Adapters train nearly as many parameters (5 %); full fine-tuning is the yardstick, which is exempt. Every arm's rate has a worse
 * neighbour on both sides, and every arm has the same two seeds or more. A factor that the question varies is not looked at.
 */
export function notComparable(arms: readonly ComparedArm[], question: Comparison = {}): NotComparable[] {
  const { varies = [], lowerIsBetter = true } = question;
  const found = [
    ...SHARED.flatMap((shared) => findDifference(arms, shared)),
    ...findOrders(arms),
    ...findTokens(arms),
    ...findCounts(arms),
    ...arms.flatMap((arm) => checkRates(arm, lowerIsBetter)),
    ...findSeeds(arms),
  ];
  return found.filter(({ factor }) => !varies.includes(factor));
}

/** `yardstick, 43× the parameters` for an arm that trains the model itself; null for an adapter. N is the smallest adapter's multiple. */
export function yardstickLabel(arm: ComparedArm, arms: readonly ComparedArm[]): string | null {
  if (!isYardstick(arm)) return null;
  const counts = arms.filter((one) => !isYardstick(one)).map((one) => one.trainableParameters);
  if (counts.length === 0) return 'yardstick';
  const times = arm.trainableParameters / Math.min(...counts);
  return `yardstick, ${times < 10 ? times.toFixed(1) : Math.round(times)}× the parameters`;
}

/** A method without an adapter beside the base. */
const isYardstick = ({ method }: ComparedArm): boolean => methodRow({ type: method }).shared.length === 0;

/** The runs that are reported. */
const reportedRuns = ({ runs, learningRate }: ComparedArm): ComparedRun[] =>
  runs.filter((run) => run.learningRate === learningRate);

/** A value that every run must share, of which runs, and how a sentence names it. */
interface Shared {
  factor: Factor;
  words: string;
  of: (arm: ComparedArm) => (string | number)[];
}
const SHARED: readonly Shared[] = [
  { factor: 'base', words: 'their bases differ', of: ({ runs }) => runs.map((run) => run.base) },
  { factor: 'data', words: 'they were trained on different rows', of: ({ runs }) => runs.map((run) => run.data) },
  {
    factor: 'evaluation_items',
    words: 'they were scored on different items',
    of: ({ runs }) => runs.map((run) => run.evaluationItems),
  },
  {
    factor: 'sequence_length',
    words: 'their sequence lengths differ',
    of: ({ runs }) => runs.map((run) => run.sequenceLength),
  },
  { factor: 'settings', words: 'their settings differ', of: ({ runs }) => runs.map((run) => run.settings) },
];

function findDifference(arms: readonly ComparedArm[], { factor, words, of }: Shared): NotComparable[] {
  const values = arms.map((arm) => ({ name: arm.name, values: [...new Set(of(arm))] }));
  if (new Set(values.flatMap((one) => one.values)).size <= 1) return [];
  const listed = values.map((one) => `${one.name}: ${one.values.map(shorten).join(' and ') || 'none'}`);
  return [{ factor, arms: arms.map(({ name }) => name), sentence: `${words} (${listed.join('; ')})` }];
}

/** Hashes are named by their first letters. */
const shorten = (value: string | number): string =>
  typeof value === 'number'
    ? value.toLocaleString('en-US')
    : /^[0-9a-f]{32,}$/.test(value)
      ? value.slice(0, 12)
      : value;

/** Runs of one seed that saw their rows in different orders. */
function findOrders(arms: readonly ComparedArm[]): NotComparable[] {
  const seeds = new Map<number, Map<string, Set<string>>>();
  for (const { name, runs } of arms) {
    for (const { seed, order } of runs) {
      const orders = seeds.get(seed) ?? new Map<string, Set<string>>();
      seeds.set(seed, orders.set(order, (orders.get(order) ?? new Set()).add(name)));
    }
  }
  return [...seeds].flatMap(([seed, orders]) => {
    if (orders.size <= 1) return [];
    const names = [...new Set([...orders.values()].flatMap((set) => [...set]))];
    const sentence = `with seed ${seed} ${names.join(', ')} saw their rows in ${orders.size} different orders`;
    return [{ factor: 'order' as const, arms: names, sentence }];
  });
}

/** Seeds whose runs saw different numbers of tokens. */
function findTokens(arms: readonly ComparedArm[]): NotComparable[] {
  const runs = arms.flatMap((arm) => reportedRuns(arm).map(({ seed, tokens }) => ({ name: arm.name, seed, tokens })));
  const listed = [...new Set(runs.map(({ seed }) => seed))].flatMap((seed) => {
    const ofSeed = runs.filter((run) => run.seed === seed);
    if (new Set(ofSeed.map(({ tokens }) => tokens)).size <= 1) return [];
    return [`seed ${seed}: ${ofSeed.map(({ name, tokens }) => `${name} ${shorten(tokens)}`).join(', ')}`];
  });
  if (listed.length === 0) return [];
  const sentence = `with equal seeds they saw different numbers of tokens (${listed.join('; ')})`;
  return [{ factor: 'tokens', arms: arms.map(({ name }) => name), sentence }];
}

/** The adapters that train most and least, when they are too far apart. */
function findCounts(arms: readonly ComparedArm[]): NotComparable[] {
  const adapters = arms.filter((arm) => !isYardstick(arm));
  const sorted = adapters.toSorted((a, b) => a.trainableParameters - b.trainableParameters);
  const [least, most] = [sorted[0], sorted.at(-1)];
  if (least === undefined || most === undefined) return [];
  const [few, many] = [least.trainableParameters, most.trainableParameters];
  if (many <= few * (1 + COUNTS_APART)) return [];
  const apart = few === 0 ? '' : `, ${((many / few - 1) * 100).toFixed(1)} % more`;
  const sentence = `${most.name} trains ${shorten(many)} parameters and ${least.name} ${shorten(few)}${apart}; at most 5 % is comparable`;
  return [{ factor: 'trainable_parameters', arms: [least.name, most.name], sentence }];
}

/** Too few seeds, and seeds that are not the same: a method's figures are paired by seed. */
function findSeeds(arms: readonly ComparedArm[]): NotComparable[] {
  const seedsOf = (arm: ComparedArm): number[] =>
    [...new Set(reportedRuns(arm).map(({ seed }) => seed))].sort((a, b) => a - b);
  const few = arms.flatMap((arm): NotComparable[] => {
    const count = seedsOf(arm).length;
    const words =
      count === 0
        ? 'no run at the rate that is reported'
        : 'one seed, so nothing says how much chance there is in its figure';
    return count > 1 ? [] : [{ factor: 'seeds', arms: [arm.name], sentence: `${arm.name} has ${words}` }];
  });
  const sets = arms.map((arm) => ({ name: arm.name, seeds: seedsOf(arm).join(', ') || 'none' }));
  if (new Set(sets.map(({ seeds }) => seeds)).size <= 1) return few;
  const listed = sets.map(({ name, seeds }) => `${name}: ${seeds}`).join('; ');
  return [...few, { factor: 'seeds', arms: arms.map(({ name }) => name), sentence: `their seeds differ (${listed})` }];
}
