import { AdapterRequest } from '@moraine/contract';
import { adapterKeysOf, resolveAdapter } from '@moraine/contract/plan';
import { type Device, device, type NumericMode, type SessionTimings } from '@moraine/engine';
import { type BatchShape, createTrainer, type StepResult, type Trainer } from '@moraine/lm';
import { type Base, loadBase } from './base.js';
import { type BenchRowsOptions, benchRows } from './bench-rows.js';
import { peakRssMb } from './memory.js';
import { adapterOf } from './method.js';
import { createStepBatches } from './step-batches.js';

export interface BenchOptions extends BenchRowsOptions {
  /** Keys of `adapter` in a request, without the rank. */
  adapter: { type: string; mora_type?: number };
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

/** Trains a few steps on a base and measures them, then decodes. Meant for a process of its own: memory is the process's. */
export async function runBench(options: BenchOptions): Promise<BenchResult> {
  const found = device();
  const base = loadBase(options.baseDir);
  const trained = options.steps > 0 ? await trainSteps(options, base) : NOTHING_TRAINED;
  const parameters = [...base.weights.values()].reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
  const { adapter, rank, mode, dataFile, batch, seq, steps, seed } = options;
  return {
    method: `${adapter.type}${adapter.mora_type === undefined ? '' : `-${adapter.mora_type}`}`,
    rank,
    mode,
    data: dataFile,
    batch,
    seq,
    steps,
    seed,
    parameters,
    ...trained,
    decode_tokens_per_second: null,
    decode_tokens: null,
    peak_rss_mb: peakRssMb(),
    device: found,
    versions: { node: process.versions.node, tensorflow: found.tensorflow },
  };
}

type Trained = Pick<
  BenchResult,
  | 'trainable_parameters'
  | 'tokens_per_second'
  | 'supervised_per_second'
  | 'step_ms_median'
  | 'step_ms_min'
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
>;

const NOTHING_TRAINED: Trained = {
  trainable_parameters: 0,
  tokens_per_second: null,
  supervised_per_second: null,
  step_ms_median: null,
  step_ms_min: null,
  host_share: null,
  trace_ms: 0,
  load_ms: 0,
  init_ms: 0,
  first_step_ms: null,
  nodes: 0,
  shapes: [],
  fill: null,
  loss_first: null,
  loss_last10: null,
  losses: [],
};

async function trainSteps(options: BenchOptions, base: Base): Promise<Trained> {
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
      const begun = performance.now();
      const { batches, tokens } = stepBatches.at(trainer.steps + 1);
      const step = trainer.step(batches);
      const ms = performance.now() - begun;
      if (measured.length === 0) firstStepMs = performance.now();
      const computed = batches.reduce((sum, { batch, time }) => sum + batch * time, 0);
      measured.push({ ms, insideMs: trainer.timings.runMs - inside, step, tokens, computed });
      await new Promise(setImmediate);
    }
    return {
      ...figures(measured, trainer.timings, firstStepMs),
      shapes: shapes.map(({ batch, time }) => `${batch}x${time}`),
      trainable_parameters: trainer.parameterCount,
    };
  } finally {
    trainer.dispose();
  }
}

function openTrainer(
  { adapter: asked, rank, mode, learningRate, seed, steps }: BenchOptions,
  base: Base,
  shapes: readonly BatchShape[],
): Promise<Trainer> {
  const body = asked.type === 'none' ? asked : { ...asked, rank };
  const { adapter } = resolveAdapter(AdapterRequest.parse(body), adapterKeysOf({ adapter: body }), base.config);
  return createTrainer({
    config: base.config,
    weights: base.weights,
    adapter: adapterOf(adapter),
    optimizer: { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0, maxGradNorm: 1 },
    schedule: { type: 'constant', learningRate, warmupSteps: 0, totalSteps: steps, minRatio: 0 },
    seed,
    mode,
    shapes,
  });
}

interface Measured {
  ms: number;
  insideMs: number;
  step: StepResult;
  tokens: number;
  computed: number;
}

function figures(
  measured: readonly Measured[],
  { traceMs, loadMs, initMs, nodes }: SessionTimings,
  firstStepMs: number,
): Omit<Trained, 'shapes' | 'trainable_parameters'> {
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
