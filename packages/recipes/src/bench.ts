import { AdapterRequest, type BatchShape, methodRow, wordOf } from '@moraine/contract';
import { resolveAdapter } from '@moraine/contract/plan';
import { type Device, device, type NumericMode, type SessionTimings } from '@moraine/engine';
import {
  createModel,
  createOptimizer,
  createTrainer,
  type GenerationPlan,
  type Generator,
  type StepResult,
  type Trainer,
} from '@moraine/lm';
import { type Base, loadBase } from './base.js';
import { type BenchRowsOptions, benchRows } from './bench-rows.js';
import { peakRssMb } from './memory.js';
import { adapterOf } from './method.js';
import { createStepBatches } from './step-batches.js';

export interface BenchOptions extends BenchRowsOptions {
  /** Keys of `adapter` in a request, without the rank. */
  adapter: Readonly<Record<string, unknown>> & { type: string };
  rank: number;
  steps: number;
  mode: NumericMode;
  learningRate: number;
  /** Tokens to decode after the steps; 0 is none. */
  decode: number;
}

/** Figures under the names that `local bench --json` prints. Milliseconds, MB (2^20 bytes). */
export interface BenchResult {
  method: string;
  rank: number;
  mode: NumericMode;
  data: string | null;
  batch: number;
  seq: number;
  steps: number;
  seed: number;
  parameters: number;
  trainable_parameters: number;
  /** Real tokens (no padding) of the measured steps by their time, and those that a loss was taken on. */
  tokens_per_second: number | null;
  supervised_per_second: number | null;
  step_ms_median: number | null;
  step_ms_min: number | null;
  /** Processor time of a step, all threads; the mean. */
  step_cpu_ms: number | null;
  /** Part of the measured time that was not spent inside TensorFlow. */
  host_share: number | null;
  trace_ms: number;
  load_ms: number;
  init_ms: number;
  /** From the start of the process to the end of the first step. */
  first_step_ms: number | null;
  /** Nodes of the graph. */
  nodes: number;
  /** Shapes of micro-batches, `sequences x tokens`. */
  shapes: string[];
  /** Real tokens by all tokens computed. */
  fill: number | null;
  loss_first: number | null;
  loss_last10: number | null;
  losses: number[];
  peak_rss_mb: number;
  decode_tokens_per_second: number | null;
  decode_tokens: number[] | null;
  device: Device;
  versions: { node: string; tensorflow: string };
}

/** Steps that are run first and not measured. */
export const WARM_UP = 2;
const STEPS_OF_A_LONG_RUN = 1000;
/** Tokens of the prompt that is decoded after, tokens of the answer that warms up, and answers that are measured. */
const DECODE_PROMPT = 8;
const DECODE_WARM_UP = 8;
const DECODE_REPEATS = 3;

/** Trains a few steps on a base and measures them, then decodes. Meant for a process of its own: memory is the process's. */
export async function runBench(options: BenchOptions): Promise<BenchResult> {
  const computed = device();
  const base = loadBase(options.baseDir);
  const measured = options.steps > 0 ? await trainSteps(options, base) : await decodeOnly(options, base);
  const parameters = [...base.weights.values()].reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
  const { adapter, rank, mode, dataFile, batch, seq, steps, seed } = options;
  return {
    method: wordOf(adapter),
    rank,
    mode,
    data: dataFile,
    batch,
    seq,
    steps,
    seed,
    parameters,
    ...measured,
    peak_rss_mb: peakRssMb(),
    device: computed,
    versions: { node: process.versions.node, tensorflow: computed.tensorflow },
  };
}

type Measurements = Pick<
  BenchResult,
  | 'trainable_parameters'
  | 'tokens_per_second'
  | 'supervised_per_second'
  | 'step_ms_median'
  | 'step_ms_min'
  | 'step_cpu_ms'
  | 'host_share'
  | 'trace_ms'
  | 'load_ms'
  | 'init_ms'
  | 'first_step_ms'
  | 'nodes'
  | 'shapes'
  | 'fill'
  | 'loss_first'
  | 'loss_last10'
  | 'losses'
  | 'decode_tokens_per_second'
  | 'decode_tokens'
>;

type Decoded = Pick<BenchResult, 'decode_tokens_per_second' | 'decode_tokens'>;

/** Decodes with the base alone. */
async function decodeOnly(options: BenchOptions, base: Base): Promise<Measurements> {
  const model = await createModel({
    config: base.config,
    weights: base.weights,
    mode: options.mode,
    generation: decodePlan(options),
  });
  try {
    const { traceMs, loadMs, initMs, nodes } = model.timings;
    return {
      trainable_parameters: 0,
      tokens_per_second: null,
      supervised_per_second: null,
      step_ms_median: null,
      step_ms_min: null,
      step_cpu_ms: null,
      host_share: null,
      trace_ms: traceMs,
      load_ms: loadMs,
      init_ms: initMs,
      first_step_ms: null,
      nodes,
      shapes: [],
      fill: null,
      loss_first: null,
      loss_last10: null,
      losses: [],
      ...(await decode(options, model.generator)),
    };
  } finally {
    model.dispose();
  }
}

const decodePlan = ({ decode: tokens }: BenchOptions): GenerationPlan | undefined =>
  tokens === 0
    ? undefined
    : {
        batches: [1],
        prefillTimes: [DECODE_PROMPT],
        contextMax: DECODE_PROMPT + Math.max(tokens, DECODE_WARM_UP),
      };

/** Greedy answers of exactly so many tokens to one random prompt; the median of three, after one that is not measured. */
async function decode(options: BenchOptions, generator: Generator | null): Promise<Decoded> {
  if (generator === null) return { decode_tokens_per_second: null, decode_tokens: null };
  const { rows } = await benchRows({ ...options, dataFile: null, batch: 1, seq: DECODE_PROMPT });
  const prompts = rows.map(({ ids }) => ids);
  await generator.generate(prompts, { maxNewTokens: DECODE_WARM_UP });
  const speeds: number[] = [];
  let made: number[] = [];
  for (let i = 0; i < DECODE_REPEATS; i++) {
    const begun = performance.now();
    const [answer] = await generator.generate(prompts, { maxNewTokens: options.decode });
    made = answer?.ids ?? [];
    speeds.push((1000 * made.length) / (performance.now() - begun));
  }
  speeds.sort((a, b) => a - b);
  return { decode_tokens_per_second: speeds[speeds.length >> 1] ?? null, decode_tokens: made };
}

async function trainSteps(options: BenchOptions, base: Base): Promise<Measurements> {
  const { rows, rowsOf, padId } = await benchRows(options);
  const stepBatches = createStepBatches({
    rows,
    rowsOf,
    // The shapes of a long run: a benchmark asks for the pace, not for the shortest way through a few steps.
    steps: Math.max(options.steps, STEPS_OF_A_LONG_RUN),
    model: base.config,
    packing: true,
    accumulation: 1,
    padId,
  });
  const { shapes } = stepBatches;
  const trainer = await openTrainer(options, base, shapes);
  const measured: Measured[] = [];
  let firstStepMs = 0;
  try {
    while (trainer.steps < options.steps) {
      const inside = trainer.timings.runMs;
      const cpu = process.cpuUsage();
      const begun = performance.now();
      const { batches, tokens } = stepBatches.at(trainer.steps + 1);
      const step = trainer.step(batches);
      const ms = performance.now() - begun;
      if (measured.length === 0) firstStepMs = performance.now();
      const computed = batches.reduce((sum, { batch, time }) => sum + batch * time, 0);
      const { user, system } = process.cpuUsage(cpu);
      measured.push({
        ms,
        cpuMs: (user + system) / 1000,
        insideMs: trainer.timings.runMs - inside,
        step,
        tokens,
        computed,
      });
      await new Promise(setImmediate);
    }
    return {
      ...figures(measured, trainer.timings, firstStepMs),
      shapes: shapes.map(({ batch, time }) => `${batch}x${time}`),
      trainable_parameters: trainer.parameterCount,
      ...(await decode(options, trainer.generator)),
    };
  } finally {
    trainer.dispose();
  }
}

function openTrainer(options: BenchOptions, base: Base, shapes: readonly BatchShape[]): Promise<Trainer> {
  const { adapter: wanted, rank, mode, learningRate, seed, steps } = options;
  const body = methodRow(wanted).shared.includes('rank') ? { ...wanted, rank } : wanted;
  const { adapter } = resolveAdapter(AdapterRequest.parse(body), base.config);
  return createTrainer({
    config: base.config,
    weights: base.weights,
    adapter: adapterOf(adapter),
    optimizer: createOptimizer({
      type: 'adamw',
      beta1: 0.9,
      beta2: 0.999,
      eps: 1e-8,
      weightDecay: 0,
      maxGradNorm: 1,
    }),
    schedule: { type: 'constant', learningRate, warmupSteps: 0, totalSteps: steps, minRatio: 0 },
    seed,
    mode,
    shapes,
    generation: decodePlan(options),
  });
}

interface Measured {
  ms: number;
  cpuMs: number;
  insideMs: number;
  step: StepResult;
  tokens: number;
  computed: number;
}

function figures(
  measured: readonly Measured[],
  { traceMs, loadMs, initMs, nodes }: SessionTimings,
  firstStepMs: number,
): Omit<Measurements, 'shapes' | 'trainable_parameters' | keyof Decoded> {
  const counted = measured.length > WARM_UP ? measured.slice(WARM_UP) : measured;
  const sum = (value: (one: Measured) => number): number => counted.reduce((total, one) => total + value(one), 0);
  const totalMs = sum(({ ms }) => ms);
  const sorted = counted.map(({ ms }) => ms).sort((a, b) => a - b);
  const losses = measured.map(({ step }) => step.loss);
  const last = losses.slice(-10);
  return {
    tokens_per_second: (1000 * sum(({ tokens }) => tokens)) / totalMs,
    supervised_per_second: (1000 * sum(({ step }) => step.supervisedTokens)) / totalMs,
    step_ms_median: ((sorted[(sorted.length - 1) >> 1] ?? 0) + (sorted[sorted.length >> 1] ?? 0)) / 2,
    step_ms_min: sorted[0] ?? 0,
    step_cpu_ms: sum(({ cpuMs }) => cpuMs) / counted.length,
    host_share: 1 - sum(({ insideMs }) => insideMs) / totalMs,
    trace_ms: traceMs,
    load_ms: loadMs,
    init_ms: initMs,
    first_step_ms: firstStepMs,
    nodes,
    fill: sum(({ tokens }) => tokens) / sum(({ computed }) => computed),
    loss_first: losses[0] ?? null,
    loss_last10: last.reduce((total, loss) => total + loss, 0) / last.length,
    losses,
  };
}
