/** What `npm run test:gpu` does, in order: the cheapest proof first, what takes long last. */
import { existsSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type BenchShape, benchRows, writeRandomBase } from '@moraine/recipes';
import { BF16, type Bounds, FLOAT32 } from '../../packages/lm/test/bounds.js';
import { watchCard } from './card.js';
import { type ChildResult, runJson, runProgram } from './child.js';
import type { GoldenRow } from './golden-program.js';
import type { Result, Stage } from './record.js';
import { benchProgram, type Torch, withoutStubs } from './torch.js';

/** What a task found: right or wrong, with its figures. */
export type Finding = Pick<Result, 'isRight' | 'figures' | 'problem'>;

export interface Task {
  stage: Stage;
  name: string;
  side: '' | 'moraine' | 'PyTorch';
  /** Not begun with less time left. */
  leastSeconds: number;
  run(timeoutMs: number): Promise<Finding>;
}

export interface TaskOptions {
  kind: 'cpu' | 'gpu';
  shapes: readonly BenchShape[];
  steps: number;
  rounds: number;
  torch: Torch | null;
  /** Folder for bases of random weights. */
  work: string;
}

const root = resolve(import.meta.dirname, '../..');
const cli = join(root, 'apps/cli/bin/moraine.mjs');

/**
 * TensorFloat-32 cuts the inputs of a float32 product to 10 bits on Ampere and later, which is 1e-3 and not an error of ours. It is off
 * where numbers are compared, and on where speed is measured, as TensorFlow has it.
 */
const EXACT = { NVIDIA_TF32_OVERRIDE: '0' };
const EQUAL_LIMIT = FLOAT32.losses;
/** Those of the suite on a processor: float32 differs in the order of its sums, bfloat16 by its rounding, wherever it is computed. */
const GOLDEN_BOUNDS = { eager: FLOAT32, plain: FLOAT32, bf16: BF16 } as const;
const GROWTH_LIMIT_MB = 40;
const RANK = 8;
const RATE = 1e-3;
const SEED = 0;
const WARM_UP = 2;

/** Rows and tokens a step that fill a card, and the same cut down for a processor. */
const SIZES: Record<BenchShape, Record<'cpu' | 'gpu', [batch: number, seq: number]>> = {
  '260k': { cpu: [4, 64], gpu: [32, 128] },
  '15m': { cpu: [2, 64], gpu: [32, 256] },
  '42m': { cpu: [2, 64], gpu: [32, 256] },
  '135m': { cpu: [1, 64], gpu: [16, 512] },
  '1b': { cpu: [1, 32], gpu: [8, 512] },
};
const LEAST_SECONDS: Record<BenchShape, number> = { '260k': 10, '15m': 12, '42m': 15, '135m': 20, '1b': 60 };
const DECODED = { cpu: 16, gpu: 64 };
const METHODS = ['lora', 'mora-1', 'mora-6', 'full'] as const;

export function tasksOf(options: TaskOptions): Task[] {
  const [large, small] = [
    options.shapes.filter((shape) => shape === '1b'),
    options.shapes.filter((shape) => shape !== '1b'),
  ];
  const timed = (shape: BenchShape): Task[] => METHODS.flatMap((method) => trainingTasks(shape, method, options));
  return [
    productTask(),
    stepTask(options),
    ...(['eager', 'plain', 'bf16'] as const).map(goldenTask),
    ...small.flatMap(timed),
    ...small.flatMap((shape) => decodingTasks(shape, options)),
    growthTask(options.kind),
    ...large.flatMap(timed),
    ...large.flatMap((shape) => decodingTasks(shape, options)),
  ];
}

/** A finding from what a child printed; a child that failed is wrong, one that found no room on the card is not judged. */
function judged<T extends object>({ value, problem }: ChildResult<T>, isRight: (value: T) => boolean): Finding {
  if (value !== null)
    return { isRight: isRight(value), figures: Object.fromEntries(Object.entries(value)), problem: '' };
  const isTooLarge = /out of memory|\bOOM\b|RESOURCE_EXHAUSTED|CUDA_ERROR_OUT_OF_MEMORY/i.test(problem);
  return { isRight: isTooLarge ? null : false, figures: {}, problem };
}

function productTask(): Task {
  const run = async (timeoutMs: number): Promise<Finding> =>
    judged(
      await runProgram<{ different: number }>('first-program', { size: 512 }, { timeoutMs }),
      ({ different }) => different === 0,
    );
  return { stage: 'first proof', name: 'one matrix product, 512 x 512', side: '', leastSeconds: 5, run };
}

/** Three losses of a traced step beside the same steps in eager mode. */
function stepTask({ work }: TaskOptions): Task {
  const run = async (timeoutMs: number): Promise<Finding> => {
    const bench = (mode: string) =>
      ours(
        ['--base', baseOf(work, '260k'), '--mode', mode, '--batch', '4', '--seq', '64', '--steps', '3'],
        timeoutMs,
        EXACT,
      );
    const [traced, eager] = [await bench('plain'), await bench('eager')];
    if (traced.value === null || eager.value === null)
      return judged(traced.value === null ? traced : eager, () => false);
    const difference = largestDifference(traced.value.losses, eager.value.losses);
    const { first_step_ms, step_ms_median } = traced.value;
    const figures = { difference, limit: EQUAL_LIMIT, first_step_ms, step_ms_median, steps: 3 };
    return { isRight: difference <= EQUAL_LIMIT, figures, problem: '' };
  };
  return { stage: 'first proof', name: 'three traced steps and eager ones', side: '', leastSeconds: 10, run };
}

function goldenTask(mode: 'eager' | 'plain' | 'bf16'): Task {
  const run = async (timeoutMs: number): Promise<Finding> => {
    const found = await runProgram<{ rows: GoldenRow[] }>('golden-program', { mode }, { timeoutMs, env: EXACT });
    if (found.value === null) return judged(found, () => false);
    const { value, limit, at } = worstOf(found.value.rows, GOLDEN_BOUNDS[mode], mode === 'bf16');
    const figures = { difference: value, limit, worst: at, rows: found.value.rows };
    return { isRight: value <= limit, figures, problem: '' };
  };
  return { stage: 'golden rows', name: `PyTorch's fixtures, ${mode}`, side: '', leastSeconds: 15, run };
}

const LOSSES: readonly (keyof Bounds)[] = ['loss', 'losses', 'sourceLosses'];

/** The distance of all rows that is the largest share of its bound; in bfloat16 single gradients round differently, so there losses alone count. */
export function worstOf(
  rows: readonly GoldenRow[],
  bounds: Bounds,
  isLossOnly: boolean,
): { value: number; limit: number; at: string } {
  let found = { value: rows.length === 0 ? Number.POSITIVE_INFINITY : 0, limit: bounds.losses, at: '' };
  for (const { name, distances } of rows) {
    for (const [what, value, bound] of distances) {
      if (isLossOnly && !LOSSES.includes(bound)) continue;
      // What is infinite or no number comes out of JSON as null.
      const distance = Number.isFinite(value) ? value : Number.POSITIVE_INFINITY;
      const limit = bounds[bound];
      if (distance / limit > found.value / found.limit) found = { value: distance, limit, at: `${name}: ${what}` };
    }
  }
  return found;
}

interface BenchFigures {
  tokens_per_second: number | null;
  step_ms_median: number | null;
  first_step_ms: number | null;
  decode_tokens_per_second: number | null;
  loss_first: number | null;
  losses: number[];
  peak_rss_mb: number;
}

const ours = (
  words: readonly string[],
  timeoutMs: number,
  env: Record<string, string> = {},
): Promise<ChildResult<BenchFigures>> =>
  runJson(
    process.execPath,
    [cli, 'local', 'bench', ...words, '--rank', String(RANK), '--lr', String(RATE), '--seed', String(SEED), '--json'],
    { timeoutMs, env },
  );

/** Both sides in turns: float32, and bfloat16 where something is frozen. */
function trainingTasks(shape: BenchShape, method: (typeof METHODS)[number], options: TaskOptions): Task[] {
  const { kind, steps, torch, work } = options;
  const [batch, seq] = SIZES[shape][kind];
  const hasOther = torch !== null && (method === 'lora' || method === 'full');
  const rounds = method === 'lora' ? options.rounds : 1;
  const modes = method === 'full' ? (['plain'] as const) : (['plain', 'bf16'] as const);
  const task = (mode: 'plain' | 'bf16', side: 'moraine' | 'PyTorch', run: Task['run']): Task => ({
    stage: 'training',
    name: `${shape} ${method}, ${mode === 'plain' ? 'float32' : 'bfloat16'}, ${batch} x ${seq}`,
    side,
    leastSeconds: LEAST_SECONDS[shape],
    run,
  });
  return modes.flatMap((mode) =>
    Array.from({ length: rounds }, () => [
      task(mode, 'moraine', async (timeoutMs) => {
        const words = [
          '--base',
          baseOf(work, shape),
          '--method',
          method,
          '--mode',
          mode,
          '--batch',
          String(batch),
          '--seq',
          String(seq),
          '--steps',
          String(steps),
        ];
        const { value, cardMb } = await watchCard(() => ours(words, timeoutMs));
        const finding = judged(value, ({ losses }) => losses.every(Number.isFinite));
        return { ...finding, figures: { ...finding.figures, card_peak_mb: cardMb } };
      }),
      ...(hasOther
        ? [
            task(mode, 'PyTorch', async (timeoutMs) => {
              const base = baseOf(work, shape);
              const { rows, rowsOf, padId } = await benchRows({
                baseDir: base,
                dataFile: null,
                batch,
                seq,
                seed: SEED,
              });
              const spec = {
                ...{ base, rank: RANK, learning_rate: RATE, max_grad_norm: 1, warm_up: WARM_UP, pad_id: padId, method },
                rows: rows.map(({ ids, labels }) => ({ ids, labels })),
                steps: Array.from({ length: steps }, (_, i) => rowsOf(i + 1)),
                autocast: mode === 'bf16',
              };
              return judged(
                await theirs<BenchFigures>(torch, 'train_peft.py', spec, options, timeoutMs),
                ({ losses }) => losses.every(Number.isFinite),
              );
            }),
          ]
        : []),
    ]).flat(),
  );
}

function theirs<T>(
  torch: Torch,
  program: string,
  spec: object,
  { kind, work }: TaskOptions,
  timeoutMs: number,
): Promise<ChildResult<T>> {
  const file = join(work, 'spec.json');
  writeFileSync(
    file,
    JSON.stringify({ ...spec, device: kind === 'gpu' ? 'cuda' : 'cpu', started_at: Date.now() / 1000 }),
  );
  return runJson(torch.python, [benchProgram(program), file], { timeoutMs, env: withoutStubs() });
}

function decodingTasks(shape: BenchShape, options: TaskOptions): Task[] {
  const { kind, torch, work } = options;
  const tokens = DECODED[kind];
  const task = (side: 'moraine' | 'PyTorch', run: Task['run']): Task => ({
    ...{ stage: 'decoding', name: `${shape}, ${tokens} tokens, one row`, side },
    leastSeconds: LEAST_SECONDS[shape],
    run,
  });
  const right = (value: { decode_tokens_per_second: number | null }): boolean =>
    (value.decode_tokens_per_second ?? 0) > 0;
  const ownTask = task('moraine', async (timeoutMs) =>
    judged(await ours(['--base', baseOf(work, shape), '--steps', '0', '--decode', String(tokens)], timeoutMs), right),
  );
  if (torch === null) return [ownTask];
  const otherTask = task('PyTorch', async (timeoutMs) => {
    const base = baseOf(work, shape);
    const { rows } = await benchRows({ baseDir: base, dataFile: null, batch: 1, seq: 8, seed: SEED });
    const spec = { base, prompt: rows[0]?.ids ?? [], new_tokens: tokens, repeats: 3 };
    return judged(await theirs<BenchFigures>(torch, 'generate_hf.py', spec, options, timeoutMs), right);
  });
  return [ownTask, otherTask];
}

function growthTask(kind: 'cpu' | 'gpu'): Task {
  type Growth = { rss_growth_mb: number; tensor_growth: number };
  const run = async (timeoutMs: number): Promise<Finding> =>
    judged(
      await runProgram<Growth>('growth-program', { seconds: 15 }, { timeoutMs }),
      ({ rss_growth_mb, tensor_growth }) => rss_growth_mb <= GROWTH_LIMIT_MB && tensor_growth === 0,
    );
  return {
    stage: 'memory',
    name: `15 s of training at 260k on the ${kind === 'gpu' ? 'card' : 'processor'}`,
    side: '',
    leastSeconds: 25,
    run,
  };
}

/** A folder of random weights, written once. */
function baseOf(work: string, shape: BenchShape): string {
  const dir = join(work, shape);
  if (!existsSync(join(dir, 'model.safetensors'))) writeRandomBase(dir, shape, SEED);
  return dir;
}

/** Largest |a - b| / |b|; lists of different length are infinitely far. */
export function largestDifference(a: readonly number[], b: readonly number[]): number {
  if (a.length !== b.length || a.length === 0) return Number.POSITIVE_INFINITY;
  return Math.max(...a.map((x, i) => Math.abs(x - (b[i] ?? Number.NaN)) / Math.abs(b[i] ?? Number.NaN)));
}
