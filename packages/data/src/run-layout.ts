import { type Layout, planLayout } from './layout.js';
import { layoutCost, type ModelWidths } from './layout-cost.js';

/** Steps that the shapes are chosen for; the others have rows of the same distribution. */
const STEPS_SEEN = 32;
/** Tokens of a micro-batch, unless one row is longer: more save no time worth the memory that activations take. */
const TOKENS_MAX = { cpu: 4096, gpu: 16_384 };
/** Tokens of a batch that is scored, and how many shapes there are of them. */
const TOKENS_EVALUATED = 4096;
const SHAPES_EVALUATED = 3;
/** Passes over an evaluation file that its shapes pay off over. */
const PASSES_EVALUATED = 10;

interface RunLayoutOptions {
  model: ModelWidths;
  device: 'cpu' | 'gpu';
  packing: boolean;
  /** Parts that a step is computed in at least. */
  accumulation: number;
}

export interface TrainingLayoutOptions extends RunLayoutOptions {
  /** Tokens of every row. */
  lengths: ArrayLike<number>;
  /** Row numbers of a step, from 1. */
  rowsOf: (step: number) => readonly number[];
  steps: number;
}

/** How the rows of a run's steps become micro-batches. It follows from its options, so a resumed run gets the same, and an estimate too. */
export function planTraining(options: TrainingLayoutOptions): Layout {
  const { lengths, steps, model, device, packing, accumulation } = options;
  return planLayout({
    lengths,
    steps: seenSteps(options),
    packing,
    cost: layoutCost(model, device),
    passes: steps,
    accumulation,
    tokensMax: TOKENS_MAX[device],
  });
}

/** Row numbers of some steps, evenly over the run. */
export function seenSteps({ rowsOf, steps }: Pick<TrainingLayoutOptions, 'rowsOf' | 'steps'>): (readonly number[])[] {
  const seen = Math.min(STEPS_SEEN, steps);
  return Array.from({ length: seen }, (_, i) => rowsOf(1 + Math.floor((i * steps) / seen)));
}

/** How the rows of all files that are scored are laid out, given the tokens of each; null when there are none. */
export function planEvaluation(files: readonly (readonly number[])[], options: RunLayoutOptions): Layout | null {
  const lengths = files.flat();
  if (lengths.length === 0) return null;
  let first = 0;
  const steps = files.flatMap((file) => {
    const numbers = file.map((_length, i) => first + i);
    first += file.length;
    return file.length === 0 ? [] : [numbers];
  });
  return planLayout({
    lengths,
    steps,
    packing: options.packing,
    cost: layoutCost(options.model, options.device),
    passes: PASSES_EVALUATED,
    tokensMax: Math.ceil(TOKENS_EVALUATED / options.accumulation),
    shapesMax: SHAPES_EVALUATED,
  });
}
