/** How many answers of some samples differ, and how soon one is right: of models, then of arms over their seeds, as a table, a figure and rows. */
import { COLORS, plotSvg, type Series } from '@moraine/contract/plot';
import { type MeanInterval, meanInterval, passAtK, testPairs } from '@moraine/contract/stats';
import type { EvaluationItem } from '@moraine/contract/suites';
import { RIGHT_ANSWERS } from './diversity-rows.js';

/** A model that was asked: the base, whose seed is null, or a run of an arm. */
export interface SampledModel {
  arm: string;
  seed: number | null;
  model: string;
  items: readonly Pick<EvaluationItem, 'samples'>[];
}

/** Means over the items, for the first k samples of each. */
export interface AtK {
  k: number;
  /** The chance that one of k samples is right, from all samples. */
  pass: number;
  /** Different answers among the first k, and of those the right and the wrong ones. */
  unique: number;
  right: number;
  wrong: number;
}

export interface ModelDiversity extends Omit<SampledModel, 'items'> {
  items: number;
  samples: number;
  at: AtK[];
}

export const BASE = 'base';

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** The figures of a model for each k, none above its number of samples. */
export function diversityOf({ items, ...model }: SampledModel, ks: readonly number[]): ModelDiversity {
  const all = items.map(({ samples = [] }) =>
    samples.map(({ answer, verdict }) => ({ answer: answer.trim(), verdict })),
  );
  const samples = all[0]?.length ?? 0;
  const differing = (k: number, verdict?: 'right' | 'wrong'): number =>
    mean(
      all.map(
        (drawn) =>
          new Set(
            drawn
              .slice(0, k)
              .filter((one) => verdict === undefined || one.verdict === verdict)
              .map(({ answer }) => answer),
          ).size,
      ),
    );
  const at = ks.map((k) => ({
    k,
    pass: mean(all.map((drawn) => passAtK(samples, drawn.filter(({ verdict }) => verdict === 'right').length, k))),
    unique: differing(k),
    right: differing(k, 'right'),
    wrong: differing(k, 'wrong'),
  }));
  return { ...model, items: all.length, samples, at };
}

type Figure = Exclude<keyof AtK, 'k'>;

const valuesOf = (models: readonly ModelDiversity[], arm: string, k: number, figure: Figure): number[] =>
  models
    .filter((one) => one.arm === arm)
    .flatMap(({ at }) => at.filter((one) => one.k === k).map((one) => one[figure]));

const armsOf = (models: readonly ModelDiversity[]): string[] => [...new Set(models.map(({ arm }) => arm))];
const ksOf = (models: readonly ModelDiversity[]): number[] => models[0]?.at.map(({ k }) => k) ?? [];

const percent = (value: number): string => `${(100 * value).toFixed(1)} %`;
const plain = (value: number): string => value.toFixed(2);
const shown = (value: MeanInterval, words: (value: number) => string): string =>
  `${words(value.mean)}${value.half === null ? '' : ` ± ${words(value.half)}`}`;

/** The page's own part: what was asked, a row an arm, differences between arms by seed, and what of the paper held. */
export function diversityText(models: readonly ModelDiversity[], drawn: string): string {
  const ks = ksOf(models);
  const last = ks.at(-1) ?? 1;
  const [{ items = 0, samples = 0 } = {}] = models;
  const row = (arm: string): string => {
    const cell = (k: number, figure: Figure, words: (value: number) => string): string =>
      shown(meanInterval(valuesOf(models, arm, k, figure)), words);
    const passes = ks.map((k) => cell(k, 'pass', percent));
    const counts = (['unique', 'right', 'wrong'] as const).map((figure) => cell(last, figure, plain));
    return `| ${[arm, ...passes, ...counts, models.filter((one) => one.arm === arm).length].join(' | ')} |`;
  };
  const heads = ['model', ...ks.map((k) => `pass@${k}`), 'different answers', 'right ones', 'wrong ones', 'models'];
  return [
    '## Samples',
    '',
    `${samples} answers to each of ${items} prompts, ${drawn}; ${RIGHT_ANSWERS} answers to a prompt are right. Means over the prompts, then over the seeds ± half of the 95 % t-interval where there are three; the base is one model. Different answers are counted among all ${samples}.`,
    '',
    `| ${heads.join(' | ')} |`,
    `|${heads.map(() => ' --- |').join('')}`,
    ...armsOf(models).map(row),
    '',
    '## Differences between methods',
    '',
    ...differenceLines(models, last),
    '',
    '## What held',
    '',
    ...claimsOf(models, last).map(({ claim, verdict }) => `- ${claim} **${verdict}**`),
  ].join('\n');
}

const tunedOf = (models: readonly ModelDiversity[]): string[] => armsOf(models).filter((arm) => arm !== BASE);

function differenceLines(models: readonly ModelDiversity[], last: number): string[] {
  const arms = tunedOf(models);
  const pairs = arms.flatMap((one, i) => arms.slice(i + 1).map((other) => [one, other] as const));
  const rows = pairs.flatMap(([one, other]) =>
    (
      [
        ['pass@1', 1, 'pass', percent],
        [`pass@${last}`, last, 'pass', percent],
        ['different answers', last, 'unique', plain],
        ['different right ones', last, 'right', plain],
      ] as const
    ).map(([name, k, figure, words]) => {
      const { p, ...difference } = testPairs(valuesOf(models, one, k, figure), valuesOf(models, other, k, figure));
      return `| ${one} − ${other} | ${name} | ${shown(difference, words)} | ${p === null ? '–' : p.toPrecision(2)} |`;
    }),
  );
  return [
    'Paired by seed, with the 95 % t-interval and its p; fewer than three seeds give neither.',
    '',
    '| pair | figure | difference | p |',
    '| --- | --- | --- | --- |',
    ...rows,
  ];
}

/** How one arm lies to another by the interval of their difference, paired by seed: above, below, or not told apart; null without an interval. */
function order(
  models: readonly ModelDiversity[],
  one: string,
  other: string,
  k: number,
  figure: Figure,
): 1 | -1 | 0 | null {
  const { mean: difference, half } = testPairs(valuesOf(models, one, k, figure), valuesOf(models, other, k, figure));
  if (half === null) return null;
  return Math.abs(difference) <= half ? 0 : difference > 0 ? 1 : -1;
}

/** What the paper reports, and whether it is so here. */
export function claimsOf(models: readonly ModelDiversity[], last: number): { claim: string; verdict: string }[] {
  const adapters = tunedOf(models).filter((arm) => arm !== 'full');
  const [base] = valuesOf(models, BASE, last, 'unique');
  const verdictOf = (orders: readonly (1 | -1 | 0 | null)[], wanted: 1 | -1): string => {
    if (orders.includes(null)) return 'Not told: an interval needs three seeds that are not all equal.';
    if (orders.every((one) => one === wanted)) return 'Held.';
    return orders.includes(-wanted as 1 | -1) ? 'Did not hold.' : 'Not told apart.';
  };
  const gap = (k: number): number =>
    Math.max(
      ...adapters.map((arm) =>
        Math.abs(mean(valuesOf(models, arm, k, 'pass')) - mean(valuesOf(models, 'full', k, 'pass'))),
      ),
    );
  const isBaseMost =
    base !== undefined &&
    tunedOf(models).every((arm) => valuesOf(models, arm, last, 'unique').every((value) => value < base));
  return [
    ...adapters.map((arm) => ({
      claim: `${arm} gives more different answers than full fine-tuning.`,
      verdict: verdictOf([order(models, arm, 'full', last, 'unique')], 1),
    })),
    { claim: 'The base gives the most different answers.', verdict: isBaseMost ? 'Held.' : 'Did not hold.' },
    ...adapters.map((arm) => ({
      claim: `Full fine-tuning is ahead of ${arm} at one sample.`,
      verdict: verdictOf([order(models, 'full', arm, 1, 'pass')], 1),
    })),
    {
      claim: `The largest gap in pass@k between an adapter and full fine-tuning shrinks with k (means): ${percent(gap(1))} at 1, ${percent(gap(last))} at ${last}.`,
      verdict: gap(last) < gap(1) ? 'Held.' : gap(last) > gap(1) ? 'Did not hold.' : 'Not told apart.',
    },
  ];
}

/** A row a model and k. */
export const diversityCsv = (models: readonly ModelDiversity[]): string =>
  [
    'arm,seed,model,items,samples,k,pass_at_k,different_answers,different_right,different_wrong',
    ...models.flatMap(({ arm, seed, model, items, samples, at }) =>
      at.map(({ k, pass, unique, right, wrong }) =>
        [arm, seed ?? '', model, items, samples, k, pass, unique, right, wrong].join(','),
      ),
    ),
    '',
  ].join('\n');

/** The colour of an arm's method. */
function colorOf(arm: string): string {
  const [method = ''] = arm.toLowerCase().split(/[ -]/);
  return method in COLORS ? method : 'base';
}

/** pass@k and how many of k answers differ, over k: a line an arm, with the interval over its seeds. */
export function diversitySvg(models: readonly ModelDiversity[]): string {
  const panel = (title: string, yLabel: string, figure: Figure) => ({
    title,
    yLabel,
    xLabel: 'samples k',
    xScale: 'log' as const,
    series: armsOf(models).map((label): Series => {
      const points = ksOf(models).map((k) => {
        const { mean: y } = meanInterval(valuesOf(models, label, k, figure));
        return { x: k, y, title: `${label}, k = ${k}: ${y.toPrecision(4)}` };
      });
      return { label, color: colorOf(label), points, line: 'solid', hasMarkers: true };
    }),
    bands: armsOf(models).flatMap((label) => {
      const points = ksOf(models).flatMap((k) => {
        const { mean: y, half } = meanInterval(valuesOf(models, label, k, figure));
        return half === null ? [] : [{ x: k, low: y - half, high: y + half }];
      });
      return points.length === 0 ? [] : [{ label, color: colorOf(label), points }];
    }),
  });
  return plotSvg({
    title: 'Samples',
    description:
      'How often one of k samples is right, and how many of k differ, by method and of the base; bands are intervals over seeds.',
    panels: [
      panel('One of k samples is right', 'pass@k', 'pass'),
      panel('Different answers among k samples', 'different answers', 'unique'),
      panel('Different right answers among k samples', 'different right answers', 'right'),
    ],
  });
}
