/** The table and the plot, from the finished cells alone. */
import { type Panel, plotSvg, tickText } from '@moraine/contract/plot';
import { type MeanInterval, meanInterval, type PairedT, testPairs } from '@moraine/contract/stats';
import { type Cell, gridState } from './uuid-cells.js';
import {
  EVALUATE_AT,
  FINAL_SEEDS,
  FINAL_STEPS,
  GRID_SEED,
  GRID_STEPS,
  LORA_ALPHA,
  METHOD_LABELS,
  METHODS,
  type MethodName,
  PAIR_COUNT,
  PAIRS_SEED,
  RATES,
} from './uuid-config.js';

/** Character accuracy of a method's final runs after a step, percent; null before the first run is there. */
export function accuracyAfter(cells: readonly Cell[], method: MethodName, step: number): MeanInterval | null {
  const values = cells
    .filter((cell) => cell.phase === 'final' && cell.method === method)
    .map((cell) => cell.recall[step]?.characters)
    .filter((value) => value !== undefined);
  return values.length === 0 ? null : meanInterval(values);
}

const rate = (learningRate: number): string => learningRate.toExponential();
const percent = (value: number): string => value.toFixed(1);

function intervalText(found: MeanInterval | null): string {
  if (found === null) return '';
  return found.half === null ? percent(found.mean) : `${percent(found.mean)} ± ${percent(found.half)}`;
}

/** Character accuracy after the last step of each final seed, percent; null before all are there. */
function finalsBySeed(cells: readonly Cell[], method: MethodName): number[] | null {
  const found = FINAL_SEEDS.map((seed) => {
    const run = cells.find((cell) => cell.phase === 'final' && cell.method === method && cell.seed === seed);
    return run?.recall[FINAL_STEPS]?.characters;
  });
  return found.every((value) => value !== undefined) ? found : null;
}

/** Methods from most to least characters at the end, and which neighbours differ. The seed is the unit: methods saw the same rows in the same order at each. */
export function orderText(cells: readonly Cell[]): string {
  const found = METHODS.flatMap((method) => {
    const finals = finalsBySeed(cells, method);
    return finals ? [{ name: METHOD_LABELS[method], finals, mean: meanInterval(finals).mean }] : [];
  }).sort((a, b) => b.mean - a.mean);
  if (found.length < METHODS.length) return 'Not all final runs are there yet.';
  const pairs = found.slice(1).map((next, i) => testPairs(found[i]?.finals ?? [], next.finals));
  const isApart = ({ mean, half }: PairedT): boolean => half !== null && mean > half;
  const order = found.map(({ name, mean }, i) => {
    const pair = pairs[i];
    return `${name} ${percent(mean)}${pair ? (isApart(pair) ? ' > ' : ' ≈ ') : ''}`;
  });
  const differences = pairs.map((pair, i) => `${found[i]?.name} − ${found[i + 1]?.name} ${intervalText(pair)}`);
  return `At step ${FINAL_STEPS}: ${order.join('')} (≈: the interval of the difference holds 0). Differences paired by seed: ${differences.join(', ')}.`;
}

function finalTable(cells: readonly Cell[]): string[] {
  const rows = METHODS.map((method) => {
    const runs = cells.filter((cell) => cell.phase === 'final' && cell.method === method);
    const [first] = cells.filter((cell) => cell.method === method);
    const state = gridState(method, cells);
    const cellsOf = [
      METHOD_LABELS[method],
      'best' in state ? rate(state.best.learningRate) : '',
      first?.trainable.toLocaleString('en') ?? '',
      ...EVALUATE_AT.map((step) => intervalText(accuracyAfter(cells, method, step))),
      runs
        .map((cell) => (cell.diverged === undefined ? percent(cell.recall[cell.steps]?.characters ?? 0) : 'diverged'))
        .join(', '),
      runs.map((cell) => percent(cell.recall[cell.steps]?.answers ?? 0)).join(', '),
    ];
    return `| ${cellsOf.join(' | ')} |`;
  });
  return [
    `| method | learning rate | trainable | ${EVALUATE_AT.map((step) => `step ${step}`).join(' | ')} | seeds ${FINAL_SEEDS.join(', ')} at ${FINAL_STEPS} | whole values |`,
    `|---|---|--:|${EVALUATE_AT.map(() => '--:').join('|')}|---|---|`,
    ...rows,
  ];
}

function gridTable(cells: readonly Cell[]): string[] {
  const tried = cells.filter(({ phase }) => phase === 'grid');
  const rates = RATES.filter((value) => tried.some(({ learningRate }) => learningRate === value));
  const rows = METHODS.map((method) => {
    const state = gridState(method, cells);
    const texts = rates.map((value) => {
      const cell = tried.find((one) => one.method === method && one.learningRate === value);
      if (cell === undefined) return '';
      if (cell.diverged !== undefined) return 'diverged';
      const text = percent(cell.recall[cell.steps]?.characters ?? 0);
      return 'best' in state && state.best === cell ? `**${text}**` : text;
    });
    return `| ${METHOD_LABELS[method]} | ${texts.join(' | ')} |`;
  });
  return [`| method | ${rates.map(rate).join(' | ')} |`, `|---|${rates.map(() => '--:').join('|')}|`, ...rows];
}

/** Names of `COLORS`, one a method, told apart by everyone. */
const COLOR_OF: Record<MethodName, string> = { full: 'full', lora: 'lora', 'mora-1': 'mora', 'mora-6': 'oft' };

/** The two panels: accuracy over the steps of the final runs, and over the learning rates of the search. */
export function uuidPlot(cells: readonly Cell[]): string {
  const finals = METHODS.map((method) => ({
    label: METHOD_LABELS[method],
    color: COLOR_OF[method],
    points: EVALUATE_AT.flatMap((step) => {
      const found = accuracyAfter(cells, method, step);
      return found === null ? [] : [{ x: step, mean: found.mean, half: found.half ?? 0 }];
    }),
  }));
  const tried = cells.filter(({ phase }) => phase === 'grid');
  const searches = METHODS.map((method) => ({
    label: METHOD_LABELS[method],
    color: COLOR_OF[method],
    points: tried
      .filter((cell) => cell.method === method)
      .map((cell) => ({ x: cell.learningRate, y: cell.recall[cell.steps]?.characters ?? 0 }))
      .sort((a, b) => a.x - b.x),
  }));
  const line = { line: 'solid', hasMarkers: true } as const;
  const titled = (label: string, x: number, y: number): string => `${label}, ${tickText(x)}: ${percent(y)} %`;
  const panels: Panel[] = [
    {
      title: `Memorising ${PAIR_COUNT} pairs, mean of ${FINAL_SEEDS.length} seeds, 95 % t-interval`,
      xLabel: 'step',
      yLabel: 'characters recalled, %',
      xScale: 'linear',
      bands: finals.map(({ label, color, points }) => ({
        ...{ label, color },
        points: points.map(({ x, mean, half }) => ({ x, low: mean - half, high: mean + half })),
      })),
      series: finals.map(({ label, color, points }) => ({
        ...{ label, color, ...line },
        points: points.map(({ x, mean: y }) => ({ x, y, title: titled(label, x, y) })),
      })),
    },
    {
      title: `The search: step ${GRID_STEPS}, one seed`,
      xLabel: 'learning rate',
      yLabel: 'characters recalled, %',
      xScale: 'log',
      series: searches.map(({ label, color, points }) => ({
        ...{ label, color, ...line },
        points: points.map((point) => ({ ...point, title: titled(label, point.x, point.y) })),
      })),
    },
  ];
  return plotSvg({
    title: 'uuid: characters recalled',
    description:
      'Over the steps of the final runs, with 95 % t-intervals over the seeds as bands, and over the learning rates of the search.',
    panels,
  });
}

export interface ReportFacts {
  /** First 16 digits of the sha256 of the base's weights. */
  baseHash: string;
  parameters: number;
}

export function uuidReport(cells: readonly Cell[], { baseHash, parameters }: ReportFacts): string {
  const hours = cells.reduce((sum, { seconds }) => sum + seconds, 0) / 3600;
  const machines = [...new Set(cells.map(({ device, threads }) => `${device}, ${threads} thread(s)`))].join('; ');
  return `# Memorising random pairs: full, LoRA, MoRA 1, MoRA 6

Written by \`npm run paper:uuid\` from [uuid/cells.jsonl](uuid/cells.jsonl); the settings are in [uuid/config.json](uuid/config.json).

**Question.** How fast does each method learn facts that follow from nothing? (Jiang et al. 2024, arXiv:2405.12130, ask it with pairs of UUIDs on
Llama-2-7B.) At equal numbers of trained parameters MoRA's update has a higher rank than LoRA's.

![Accuracy over steps, and over learning rates](uuid.svg)

${finalTable(cells).join('\n')}

Characters recalled, percent: mean over seeds ${FINAL_SEEDS.join(', ')} ± half of the two-sided 95 % t-interval (two degrees of freedom, so 2.48 standard
deviations); chance is 6.25. ${orderText(cells)}

## The search for the learning rate

Characters recalled after ${GRID_STEPS} steps, percent, seed ${GRID_SEED}, which is none of the seeds above. Bold is the best; a method's search goes on until
the best has a worse neighbour on both sides. A rate that is best after ${GRID_STEPS} steps need not be best after ${FINAL_STEPS}.

${gridTable(cells).join('\n')}

## How

- **Base.** \`examples/base\`, ${parameters.toLocaleString('en')} parameters, sha256 ${baseHash}…
- **Data.** ${PAIR_COUNT} pairs of 8 random hexadecimal digits (seed ${PAIRS_SEED}), each \`<|user|>\` key \`<|assistant|>\` value, one token a character. Loss on the
  eight characters of the value. Batches of 100 rows, ten an epoch, in an order that depends on seed and epoch alone.
- **Training.** AdamW (0.9, 0.95), no weight decay, clipping at 1, 50 steps of warm-up, then constant. Adapters on all seven linear layers of
  every block, rank 4; LoRA with alpha ${LORA_ALPHA}; full trains every weight. Traced engine, mode \`plain\`, float32.
- **Recall.** What greedy decoding over the whole vocabulary writes after each key, compared character by character with the value, on the
  trained pairs. It is computed by teacher-forced passes: an answer's tokens are taken over as long as the most likely token is the
  one that was fed; at the first difference the model's own token is fed in its place and the row is passed again, at most eight times.
  Each answer is therefore the one that decoding token by token gives, wrong beginnings included.
- **Whole values.** Values recalled without a wrong character, percent, by seed.
- **Machine.** ${machines}; ${cells.length} runs, ${hours.toFixed(2)} h.
`;
}
