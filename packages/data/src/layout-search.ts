import type { BatchShape } from '@moraine/contract';
import type { LayoutCost } from './layout-cost.js';

/** Sequences `first` to `end` (end excluded) of a sorted list go into one micro-batch of a shape. */
export interface Run {
  shape: BatchShape;
  first: number;
  end: number;
}

/**
 * The cheapest way to put sequences, sorted by falling length, into micro-batches of given shapes: the longest that is left takes a shape
 * that holds it, and the ones behind it fill it up. Exact, by dynamic programming from the end. Null when a sequence fits no shape.
 */
export function cover(
  sorted: ArrayLike<number>,
  shapes: readonly BatchShape[],
  cost: LayoutCost,
): { ms: number; runs: Run[] } | null {
  const costs = shapes.map((shape) => cost.batchMs(shape));
  const count = sorted.length;
  const chosen = new Int32Array(count);
  const ms = solve(sorted, shapes, costs, new Float64Array(count + 1), chosen);
  if (ms === Number.POSITIVE_INFINITY) return null;
  const runs: Run[] = [];
  for (let first = 0; first < count; ) {
    const shape = shapes[chosen[first] as number] as BatchShape;
    const end = Math.min(count, first + shape.batch);
    runs.push({ shape, first, end });
    first = end;
  }
  return { ms, runs };
}

/** `best[i]`: least cost of the sequences from i on; `chosen[i]`: the shape that sequence i opens. Both are written. */
function solve(
  sorted: ArrayLike<number>,
  shapes: readonly BatchShape[],
  costs: readonly number[],
  best: Float64Array,
  chosen: Int32Array,
): number {
  const count = sorted.length;
  best[count] = 0;
  for (let i = count - 1; i >= 0; i -= 1) {
    const length = sorted[i] as number;
    let least = Number.POSITIVE_INFINITY;
    for (let s = 0; s < shapes.length; s += 1) {
      const { batch, time } = shapes[s] as BatchShape;
      if (time < length) continue;
      const ms = (costs[s] as number) + (best[Math.min(count, i + batch)] as number);
      if (ms >= least) continue;
      least = ms;
      chosen[i] = s;
    }
    best[i] = least;
  }
  return best[0] as number;
}

export interface SearchOptions {
  /** Sorted lengths of the sequences of some steps. */
  samples: readonly ArrayLike<number>[];
  candidates: readonly BatchShape[];
  /** Some shape must hold a sequence of this length. */
  longest: number;
  cost: LayoutCost;
  /** Steps of the run: a shape is traced once and pays off over them. */
  passes: number;
  shapesMax: number;
}

/**
 * The set of shapes under which a step costs least, found by adding, dropping and replacing one shape at a time. It begins from the smallest
 * that holds the longest sequence: beside a wide one, which takes short sequences along, no narrower shape ever pays.
 */
export function searchShapes(options: SearchOptions): { shapes: BatchShape[]; ms: number } {
  const holding = options.candidates.filter(({ time }) => time >= options.longest);
  const smallest = holding.reduce((a, b) => (b.batch * b.time < a.batch * a.time ? b : a));
  const meanMs = createMeanMs(options);
  return climb([smallest], meanMs, options);
}

/** Mean cost of a step; infinite as soon as it must be above `limit`. */
type MeanMs = (shapes: readonly BatchShape[], limit: number) => number;

function climb(
  start: BatchShape[],
  meanMs: MeanMs,
  { candidates, longest, shapesMax }: SearchOptions,
): { shapes: BatchShape[]; ms: number } {
  let shapes = start;
  let ms = start.length === 0 ? Number.POSITIVE_INFINITY : meanMs(start, Number.POSITIVE_INFINITY);
  const improve = (variants: BatchShape[][]): boolean => {
    const before = ms;
    for (const variant of variants) {
      if (!variant.some(({ time }) => time >= longest)) continue;
      const found = meanMs(variant, ms);
      if (found >= ms - 1e-9) continue;
      ms = found;
      shapes = variant;
    }
    return ms < before;
  };
  for (let isBetter = true; isBetter; ) {
    const from = shapes;
    const others = candidates.filter((candidate) => !from.includes(candidate));
    const added = from.length < shapesMax ? others.map((candidate) => [...from, candidate]) : [];
    const dropped = from.map((_, i) => from.toSpliced(i, 1));
    isBetter = improve([...added, ...dropped]);
    if (!isBetter) isBetter = improve(from.flatMap((_, i) => others.map((candidate) => from.with(i, candidate))));
  }
  return { shapes, ms };
}

function createMeanMs({ samples, candidates, cost, passes }: SearchOptions): MeanMs {
  const costs = new Map(candidates.map((shape) => [shape, cost.batchMs(shape)]));
  const most = samples.reduce((max, { length }) => Math.max(max, length), 0);
  const best = new Float64Array(most + 1);
  const chosen = new Int32Array(most);
  return (shapes, limit) => {
    const shapeCosts = shapes.map((shape) => costs.get(shape) ?? cost.batchMs(shape));
    const tracing = (shapes.length * cost.shapeMs) / passes;
    const enough = (limit - tracing) * samples.length;
    let ms = 0;
    for (const sorted of samples) {
      ms += solve(sorted, shapes, shapeCosts, best, chosen);
      if (ms >= enough) return Number.POSITIVE_INFINITY;
    }
    return ms / samples.length + tracing;
  };
}
