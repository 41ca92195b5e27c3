import type { CourseFigure, CoursePoint, WeightsCourse } from '@moraine/contract/analyses';
import { type Panel, plotSvg, type Series, tickText } from '@moraine/contract/plot';
import { markdownTable, toCsv } from '@moraine/contract/result-text';
import { LEAST_VALUES, meanInterval } from '@moraine/contract/stats';

/** The update of one final run, over its checkpoints. */
export interface RankRun {
  arm: string;
  color: string;
  seed: number;
  course: WeightsCourse;
}

/** Kinds of layers that are told apart, as the paper does. */
const GROUPS = { attention: /^[qkvo]_proj$/, MLP: /^(gate|up|down)_proj$/ };
type Group = keyof typeof GROUPS;
const groups = Object.keys(GROUPS) as Group[];

/** What is tabled and drawn of an update. */
const FIGURES: { key: CourseFigure; title: string; hasControl: boolean }[] = [
  { key: 'rank_90', title: 'rank-90', hasControl: true },
  { key: 'stable_rank', title: 'stable rank', hasControl: true },
  { key: 'largest_singular_value', title: 'σ₁', hasControl: true },
  { key: 'relative_norm', title: '‖ΔW‖/‖W0‖', hasControl: false },
];

interface Mean {
  mean: number;
  half: number | null;
}

type Of = 'figures' | 'control';
type Layer = WeightsCourse['layers'][number];

/** The mean over the layers of a run that are wanted; null where none has the figure at that step. */
function meanAt({ course }: RankRun, step: number, key: CourseFigure, of: Of, isWanted: (layer: Layer) => boolean) {
  const values = course.layers.filter(isWanted).flatMap(({ points }) => {
    const point: CoursePoint | undefined = points.find((one) => one.step === step);
    return point?.[of]?.[key] ?? [];
  });
  return values.length === 0 ? null : values.reduce((a, b) => a + b, 0) / values.length;
}

const inGroup =
  (group: Group) =>
  ({ module }: Layer): boolean =>
    GROUPS[group].test(module);

const armsOf = (runs: readonly RankRun[]): RankRun[][] =>
  [...new Set(runs.map(({ arm }) => arm))].map((name) => runs.filter(({ arm }) => arm === name));

const stepsOf = (runs: readonly RankRun[]): number[] =>
  [...new Set(runs.flatMap(({ course }) => course.analyses.map(({ step }) => step)))].sort((a, b) => a - b);

/** The mean over the seeds of an arm. */
function overSeeds(runs: readonly RankRun[], of: (run: RankRun) => number | null): Mean | null {
  const values = runs.flatMap((run) => of(run) ?? []);
  return values.length === 0 ? null : meanInterval(values);
}

const shown = (found: Mean | null): string =>
  found === null ? '–' : `${tickText(found.mean)}${found.half === null ? '' : ` ± ${tickText(found.half)}`}`;

/** Rank-90 over training and over blocks, and the size of the update; the control dashed. */
export function rankSvg(runs: readonly RankRun[]): string {
  const arms = armsOf(runs);
  const steps = stepsOf(runs);
  const last = steps.at(-1) ?? 0;
  const panel = (
    title: string,
    xs: readonly number[],
    xLabel: string,
    { key, title: yLabel, hasControl }: (typeof FIGURES)[number],
    at: (run: RankRun, x: number, key: CourseFigure, of: Of) => number | null,
  ): Panel => {
    const drawn = (arm: RankRun[], of: Of) =>
      xs.flatMap((x) => {
        const found = overSeeds(arm, (run) => at(run, x, key, of));
        return found === null ? [] : [{ x, found }];
      });
    return {
      title,
      xLabel,
      yLabel,
      xScale: 'linear',
      bands: arms.map((arm) => ({
        label: arm[0]?.arm ?? '',
        color: arm[0]?.color ?? 'base',
        points: drawn(arm, 'figures').flatMap(({ x, found: { mean, half } }) =>
          half === null ? [] : [{ x, low: mean - half, high: mean + half }],
        ),
      })),
      series: arms.flatMap((arm): Series[] => {
        const { arm: label = '', color = 'base' } = arm[0] ?? {};
        const points = (of: Of) =>
          drawn(arm, of).map(({ x, found }) => ({
            x,
            y: found.mean,
            title: `${label}, ${xLabel} ${x}: ${shown(found)}`,
          }));
        return [
          { label, color, line: 'solid', hasMarkers: true, points: points('figures') },
          ...(hasControl ? [{ label: '', color, line: 'dashed' as const, points: points('control') }] : []),
        ];
      }),
    };
  };
  const blocks = [...new Set(runs.flatMap(({ course }) => course.layers.flatMap(({ depth }) => depth ?? [])))];
  const [rank] = FIGURES;
  return plotSvg({
    title: 'rank: updates over training and layers',
    description:
      'Means over layers and seeds with 95 % t-intervals over the seeds as bands; dashed: normal numbers with the norm of the update.',
    panels: [
      ...FIGURES.flatMap((figure) =>
        groups.map((group) =>
          panel(`${figure.title} of ${group} over training`, steps, 'step', figure, (run, step, key, of) =>
            meanAt(run, step, key, of, inGroup(group)),
          ),
        ),
      ),
      ...(rank === undefined
        ? []
        : groups.map((group) =>
            panel(
              `rank-90 of ${group} over blocks, step ${last}`,
              blocks.sort((a, b) => a - b),
              'block',
              rank,
              (run, block, key, of) =>
                meanAt(run, last, key, of, (layer) => layer.depth === block && inGroup(group)(layer)),
            ),
          )),
    ],
  });
}

/** A row a run, layer and step. */
export const rankCsv = (runs: readonly RankRun[]): string =>
  toCsv(
    [
      ...['arm', 'seed', 'run_id', 'step', 'layer', 'module', 'block', ...FIGURES.map(({ key }) => key)],
      ...FIGURES.flatMap(({ key, hasControl }) => (hasControl ? [`control_${key}`] : [])),
    ],
    runs.flatMap(({ arm, seed, course }) =>
      course.layers.flatMap(({ layer, module, depth, points }) =>
        points.map(({ step, figures, control }) => [
          ...[arm, seed, course.run_id, step, layer, module, depth, ...FIGURES.map(({ key }) => figures[key])],
          ...FIGURES.flatMap(({ key, hasControl }) => (hasControl ? [control?.[key] ?? null] : [])),
        ]),
      ),
    ),
  );

/** The table, and what of the paper held here; every claim is of differences paired by seed. */
export function rankMarkdown(runs: readonly RankRun[]): string {
  const steps = stepsOf(runs);
  const rows = armsOf(runs).flatMap((arm) =>
    steps.flatMap((step) =>
      groups.map((group) => [
        ...[arm[0]?.arm ?? '', group, String(step)],
        ...FIGURES.map(({ key, hasControl }) => {
          const at = (of: Of): string => shown(overSeeds(arm, (run) => meanAt(run, step, key, of, inGroup(group))));
          return hasControl ? `${at('figures')} (${at('control')})` : at('figures');
        }),
      ]),
    ),
  );
  return [
    '## Ranks of the updates',
    '',
    ...markdownTable(['arm', 'layers', 'step', ...FIGURES.map(({ title }) => title)], rows),
    'Means over the layers, ± half of the 95 % t-interval over the seeds; in brackets normal numbers with the norm of the update. rank-90: the fewest singular values that hold 90 % of their squares.',
    '',
    '## What of the paper held',
    '',
    ...claimsOf(runs).map(({ sentence, values }) => `- ${verdictOf(values)}: ${sentence}`),
    '',
    'A high rank that is found is no high rank that is needed: the control has one too (arXiv 2405.09673, §4.5).',
  ].join('\n');
}

interface Claim {
  sentence: string;
  /** Above 0 where it holds, one a seed. */
  values: number[];
}

/** What the paper says of its updates, and what MoRA's says of its own, on the last step. */
function claimsOf(runs: readonly RankRun[]): Claim[] {
  const steps = stepsOf(runs);
  const [first = 0, last = 0] = [steps[0], steps.at(-1)];
  const [full = [], ...adapters] = armsOf(runs).sort(
    ([a], [b]) => Number(b?.arm === 'full') - Number(a?.arm === 'full'),
  );
  const named = (start: string): RankRun[] => adapters.find(([one]) => one?.arm.startsWith(start)) ?? [];
  const rank = (run: RankRun, isWanted: (layer: Layer) => boolean, step = last, of: Of = 'figures') =>
    meanAt(run, step, 'rank_90', of, isWanted);
  const all = (): boolean => true;
  const top = Math.max(...runs.flatMap(({ course }) => course.layers.flatMap(({ depth }) => depth ?? [])), 0);
  const isEnd = ({ depth }: Layer): boolean => depth === 0 || depth === top;
  const isInner = ({ depth }: Layer): boolean => depth !== null && depth > 0 && depth < top;
  const differences = (arm: RankRun[], left: (run: RankRun) => number | null, right: (run: RankRun) => number | null) =>
    arm.flatMap((run) => {
      const [a, b] = [left(run), right(run)];
      return a === null || b === null ? [] : [a - b];
    });
  const against = (arm: RankRun[], other: RankRun[], factor: number): number[] =>
    differences(
      arm,
      (run) => rank(run, all),
      (run) => {
        const pair = other.find(({ seed }) => seed === run.seed);
        const found = pair === undefined ? null : rank(pair, all);
        return found === null ? null : factor * found;
      },
    );
  const ofFull = (left: Parameters<typeof differences>[1], right: Parameters<typeof differences>[2]): number[] =>
    differences(full, left, right);
  return [
    {
      sentence: `full fine-tuning's rank-90 is at least ten times LoRA's of rank 4 at step ${last}.`,
      values: against(full, named('lora r4'), 10),
    },
    {
      sentence: `full fine-tuning's rank-90 is higher at step ${last} than at step ${first}.`,
      values:
        first === last
          ? []
          : ofFull(
              (run) => rank(run, all),
              (run) => rank(run, all, first),
            ),
    },
    {
      sentence: "full fine-tuning's rank-90 is higher in MLP layers than in attention.",
      values: ofFull(
        (run) => rank(run, inGroup('MLP')),
        (run) => rank(run, inGroup('attention')),
      ),
    },
    {
      sentence: "full fine-tuning's rank-90 is lower in the first and the last block than between.",
      values: ofFull(
        (run) => rank(run, isInner),
        (run) => rank(run, isEnd),
      ),
    },
    {
      sentence: "full fine-tuning's rank-90 is below that of normal numbers of the same norm.",
      values: ofFull(
        (run) => rank(run, all, last, 'control'),
        (run) => rank(run, all),
      ),
    },
    ...['mora-1', 'mora-6'].map((name) => ({
      sentence: `${name}'s rank-90 is above that of LoRA with as many parameters.`,
      values: against(named(name), named('lora r4'), 1),
    })),
  ];
}

function verdictOf(values: readonly number[]): string {
  if (values.length === 0) return 'Not measured';
  const { mean, half, n } = meanInterval(values);
  const why = n < LEAST_VALUES ? `by ${n} seed${n === 1 ? '' : 's'}` : `by ${n} seeds that are all equal`;
  if (half === null) return `Not decided ${why} (difference ${tickText(mean)})`;
  const difference = `difference ${tickText(mean)} ± ${tickText(half)}, ${n} seeds`;
  if (Math.abs(mean) <= half) return `Open (${difference})`;
  return `${mean > 0 ? 'Held' : 'Did not hold'} (${difference})`;
}
