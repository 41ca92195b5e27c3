import type { RunConfig } from '@moraine/contract';
import {
  estimateMemory,
  type MemoryEstimate,
  type ModelShape,
  type RunShapes,
  totalParameters,
} from '@moraine/contract/plan';
import type { Layout } from './layout.js';
import { layoutCost } from './layout-cost.js';
import { createRunOrder } from './row-order.js';
import { planEvaluation, planTraining, seenSteps } from './run-layout.js';

export interface RunToEstimate {
  model: ModelShape;
  config: RunConfig;
  device: 'cpu' | 'gpu';
  /** Tokens of each row that is trained on, by file. */
  training: readonly (readonly number[])[];
  /** The validation file, if there is one, and the evaluation files. */
  validation: ScoredFile | null;
  evaluation: readonly ScoredFile[];
  /** Real tokens a second that such runs trained; null where none is known: then a rough model of a machine's speed decides. */
  tokensPerSecond: number | null;
  /** Seconds that such runs took beside their steps; null where none is known. */
  besideSeconds?: number | null;
}

/** A file that is scored. */
export interface ScoredFile {
  /** Tokens of each row, or of those of its beginning. */
  lengths: readonly number[];
  /** How many times as long the whole file is; 1 where all of it was read. */
  times: number;
  /** How often an evaluation file is scored between the first and the last step; absent: never. */
  onTheWay?: number;
}

/** Time of a run by what it is for, in seconds. */
export interface TimeParts {
  /** A process of its own, loading the base, tracing and the first values. */
  start: number;
  train: number;
  evaluate: number;
  /** Writing the adapter and the merged model. */
  export: number;
}

export interface RunEstimate {
  memory: MemoryEstimate;
  seconds: TimeParts;
  shapes: RunShapes;
  /** Real tokens of an average step, and what is computed with padding. */
  tokensPerStep: number;
  computedPerStep: number;
}

/** A process with TensorFlow in it, until the base can be read, and its end: two cores that do nothing else. */
const START_MS = 6000;
const BYTES_PER_MS = 2e5;
/** A forward pass alone, as a share of one with its gradient. */
const FORWARD_SHARE = 0.4;
/** Tokens of a sampled answer at most. */
const SAMPLE_TOKENS = 256;

/** What a run takes, before it starts: the layout of its own rows, the memory of that, and a rough time. */
export function estimateRun(run: RunToEstimate): RunEstimate {
  const { model, config, device, tokensPerSecond, besideSeconds = null } = run;
  const training = run.training.flat();
  const { packing, accumulation, steps } = config;
  const rowsOf = createRunOrder(
    config,
    run.training.map((file) => file.length),
  );
  const options = { model, device, packing, accumulation };
  const layout = planTraining({ ...options, lengths: training, rowsOf, steps });
  const scored = planEvaluation(
    [...(run.validation ? [run.validation] : []), ...run.evaluation].map(({ lengths }) => lengths),
    options,
  );
  const seen = seenSteps({ rowsOf, steps }).map((rows) => rows.map((row) => training[row] ?? 0));
  const { batchMs, shapeMs } = layoutCost(model, device);
  const pass = (of: Layout | null, lengths: readonly number[]): Pass => {
    const arranged = of === null || lengths.length === 0 ? [] : of.arrange(lengths);
    return {
      ms: sum(arranged.map(({ shape }) => batchMs(shape))),
      computed: sum(arranged.map(({ shape: { batch, time } }) => batch * time)),
    };
  };
  const scoreMs = (file: ScoredFile | null): number => (file === null ? 0 : file.times * pass(scored, file.lengths).ms);
  const stepPasses = seen.map((lengths) => pass(layout, lengths));
  const shapes: RunShapes = {
    training: layout.shapes,
    evaluation: scored?.shapes ?? [],
    generation: run.evaluation.length === 0 ? null : samplesOf(run),
  };
  const bytes = 4 * totalParameters(model);
  const signatures = shapes.training.length + shapes.evaluation.length;
  const tokensPerStep = mean(seen.map(sum));
  const modelledMs = mean(stepPasses.map(({ ms }) => ms));
  const stepMs = tokensPerSecond === null ? modelledMs : (1000 * tokensPerStep) / tokensPerSecond;
  const evaluateMs =
    validations(config) * scoreMs(run.validation) +
    sum(run.evaluation.map((file) => (2 + (file.onTheWay ?? 0)) * scoreMs(file)));
  const exportS = (2 * bytes) / BYTES_PER_MS / 1000;
  return {
    memory: estimateMemory(model, config, shapes),
    seconds: {
      start:
        besideSeconds === null
          ? (START_MS + signatures * shapeMs + bytes / BYTES_PER_MS) / 1000
          : Math.max(0, besideSeconds - exportS),
      train: (steps * stepMs) / 1000,
      evaluate: (FORWARD_SHARE * evaluateMs * (stepMs / modelledMs)) / 1000,
      export: exportS,
    },
    shapes,
    tokensPerStep,
    computedPerStep: mean(stepPasses.map(({ computed }) => computed)),
  };
}

interface Pass {
  ms: number;
  computed: number;
}

const validations = ({ steps, evaluation }: RunConfig): number =>
  Math.ceil(steps / Math.max(1, evaluation.every_steps));

function samplesOf({ model, config, evaluation }: RunToEstimate): RunShapes['generation'] {
  if (config.evaluation.samples === 0) return null;
  const longest = evaluation.flatMap(({ lengths }) => lengths).reduce((a, b) => Math.max(a, b), 0);
  return { rows: config.evaluation.samples, context: Math.min(model.maxPositions, longest + SAMPLE_TOKENS) };
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
const mean = (values: readonly number[]): number => sum(values) / Math.max(1, values.length);
