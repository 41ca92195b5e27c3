import type { Batch, BatchShape } from '@moraine/contract';
import { type EncodedRow, emptyBatch, placeRow } from './batch.js';
import type { LayoutCost } from './layout-cost.js';
import { cover, searchShapes } from './layout-search.js';
import { packRows } from './packing.js';

export interface LayoutOptions {
  /** Tokens of every row that will ever be arranged. */
  lengths: ArrayLike<number>;
  /** Row numbers that go through together: the steps of the run, or some of them. Shapes are chosen for these. */
  steps: readonly ArrayLike<number>[];
  /** Rows end to end in a sequence; otherwise each row is a sequence, beside others of about its length. */
  packing: boolean;
  cost: LayoutCost;
  /** Times that a step runs: a shape is traced once and pays off over them. */
  passes: number;
  /** A micro-batch holds at most this part of the tokens that it would hold by itself. Default 1. */
  accumulation?: number;
  /** Tokens of a micro-batch at most, unless one row alone is longer. */
  tokensMax?: number;
  shapesMax?: number;
}

/** A micro-batch before its tokens are written: which rows stand in which sequence. */
export interface Arrangement {
  shape: BatchShape;
  /** Row numbers of each sequence; at most shape.batch sequences. */
  sequences: number[][];
}

/** How the rows of a step become micro-batches of few fixed shapes. A pure function of the data and the configuration. */
export interface Layout {
  shapes: readonly BatchShape[];
  /** Lays out rows of these lengths, each exactly once and whole. Row numbers in the answer are positions in `lengths`. */
  arrange(lengths: ArrayLike<number>): Arrangement[];
}

const SHAPES_MAX = 5;
/** Tensor cores and vector units like whole eights; more shapes of sequences are not looked at. */
const TIME_MULTIPLE = 8;
const TIMES = [32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096];
const BATCHES = [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 48, 64, 96, 128, 192, 256];
/** What the search looks at: so many steps, and no more rows than this. */
const SAMPLE_STEPS = 32;
const SAMPLE_ROWS = 1024;
/** Pairs of sequence lengths for which shapes are searched; the others are ruled out by an estimate. */
const CAPACITIES_TRIED = 3;

/**
 * Chooses the shapes of a run's micro-batches and the way rows are put into them, so that a step is predicted to cost least: tokens
 * (padding too), attention, which grows with the square of a sequence, and a fixed price for every micro-batch and every shape. The loss
 * is a sum over tokens and attention stays inside a row, so all layouts give the same gradient.
 */
export function planLayout(options: LayoutOptions): Layout {
  const { accumulation = 1, tokensMax = Number.POSITIVE_INFINITY } = options;
  const whole = planWithin(options, tokensMax);
  if (accumulation === 1) return whole;
  const peak = Math.max(...whole.shapes.map(({ batch, time }) => batch * time));
  return planWithin(options, Math.ceil(peak / accumulation));
}

function planWithin(options: LayoutOptions, tokensMax: number): Layout {
  const { lengths, packing, cost, passes, shapesMax = SHAPES_MAX } = options;
  const roundUp = rounding(lengths);
  const longest = roundUp(maxOf(lengths));
  const limit = Math.max(tokensMax, longest);
  const samples = sampleSteps(options.steps).map((rows) => Array.from(rows, (row) => lengths[row] as number));
  const choices = packing ? likelyCapacities(samples, { longest, limit, roundUp, cost }) : [null];
  const plans = choices.map((capacities) => {
    const sorted = samples.map((sample) => sequencesOf(sample, capacities).map(({ length }) => length));
    const candidates = candidateShapes(sorted, { longest, limit, roundUp, capacities: capacities ?? [] });
    return { capacities, ...searchShapes({ samples: sorted, candidates, longest, cost, passes, shapesMax }) };
  });
  const best = plans.reduce((a, b) => (b.ms < a.ms ? b : a));
  const shapes = [...best.shapes].sort((a, b) => b.time - a.time || b.batch - a.batch);
  return { shapes, arrange: (rowLengths) => arrange(rowLengths, shapes, best.capacities, cost) };
}

function arrange(
  lengths: ArrayLike<number>,
  shapes: readonly BatchShape[],
  capacities: readonly number[] | null,
  cost: LayoutCost,
): Arrangement[] {
  const sequences = sequencesOf(lengths, capacities);
  const found = cover(
    sequences.map(({ length }) => length),
    shapes,
    cost,
  );
  if (found === null) throw new RangeError(`A row of ${maxOf(lengths)} tokens is longer than the layout was made for.`);
  return found.runs.map(({ shape, first, end }) => ({
    shape,
    sequences: sequences.slice(first, end).map(({ rows }) => rows),
  }));
}

/** Sequences by falling length; with no capacities each row is one. */
function sequencesOf(
  lengths: ArrayLike<number>,
  capacities: readonly number[] | null,
): { rows: number[]; length: number }[] {
  const packed =
    capacities === null ? Array.from({ length: lengths.length }, (_, row) => [row]) : packRows(lengths, capacities);
  const sequences = packed.map((rows) => ({ rows, length: rows.reduce((sum, row) => sum + (lengths[row] ?? 0), 0) }));
  return sequences.sort((a, b) => b.length - a.length || (a.rows[0] ?? 0) - (b.rows[0] ?? 0));
}

interface Bounds {
  longest: number;
  /** Tokens of a micro-batch. */
  limit: number;
  roundUp: (length: number) => number;
}

/** The lengths of sequences that rows are packed into: one that holds the longest row, and perhaps a shorter one for the rest. */
function likelyCapacities(
  samples: readonly number[][],
  { longest, limit, roundUp, cost }: Bounds & { cost: LayoutCost },
): number[][] {
  const heaviest = Math.max(...samples.map(sum));
  const times = TIMES.map(roundUp).filter((time) => time <= limit && time < 2 * heaviest);
  const tops = unique([longest, ...times.filter((time) => time > longest)]);
  const pairs = tops.flatMap((top) => [[top], ...times.filter((time) => time < top).map((time) => [time, top])]);
  const startMs = cost.batchMs({ batch: 0, time: 0 });
  const estimate = (capacities: readonly number[]): number =>
    sum(
      samples.flatMap((sample) =>
        packRows(sample, capacities).map((rows) => {
          const used = sum(rows.map((row) => sample[row] ?? 0));
          const time = capacities.find((capacity) => capacity >= used) ?? longest;
          return cost.batchMs({ batch: 1, time }) - startMs;
        }),
      ),
    );
  return pairs
    .map((capacities) => ({ capacities, ms: estimate(capacities) }))
    .sort((a, b) => a.ms - b.ms)
    .slice(0, CAPACITIES_TRIED)
    .map(({ capacities }) => capacities);
}

function candidateShapes(
  samples: readonly ArrayLike<number>[],
  { longest, limit, roundUp, capacities }: Bounds & { capacities: readonly number[] },
): BatchShape[] {
  const all = samples.flatMap((sample) => [...Array.from(sample)]).sort((a, b) => a - b);
  const quantiles = [0.1, 0.25, 0.5, 0.75, 0.9].map((share) => roundUp(all[Math.floor(share * all.length)] ?? longest));
  const times = unique([longest, ...capacities, ...quantiles]);
  const counts = samples.map((sample) => sample.length).sort((a, b) => a - b);
  const most = counts[counts.length - 1] ?? 1;
  const seen = [0, 0.5, 1].map((share) => counts[Math.floor(share * (counts.length - 1))] ?? 1);
  return times.flatMap((time) => {
    const fitting = Math.floor(limit / time);
    const batches = [...BATCHES, ...seen, fitting].filter((batch) => batch >= 1 && batch <= Math.min(most, fitting));
    return unique(batches).map((batch) => ({ batch, time }));
  });
}

/** Steps spread evenly over those given, no more than can be looked at; a step of very many rows is thinned out. */
function sampleSteps(steps: readonly ArrayLike<number>[]): number[][] {
  const rowsMax = Math.max(...steps.map((step) => step.length));
  const count = Math.max(1, Math.min(SAMPLE_STEPS, steps.length, Math.floor(SAMPLE_ROWS / rowsMax)));
  const stride = Math.ceil(rowsMax / SAMPLE_ROWS);
  return Array.from({ length: count }, (_, i) => steps[Math.floor((i * steps.length) / count)] ?? []).map((step) =>
    Array.from(step).filter((_row, i) => i % stride === 0),
  );
}

/** Lengths go up to whole eights; rows that are all of one length keep it. */
function rounding(lengths: ArrayLike<number>): (length: number) => number {
  const first = lengths[0] ?? 1;
  const isEqual = Array.prototype.every.call(lengths, (length) => length === first);
  return isEqual ? () => first : (length) => Math.ceil(length / TIME_MULTIPLE) * TIME_MULTIPLE;
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
const unique = (values: readonly number[]): number[] => [...new Set(values)].sort((a, b) => a - b);

function maxOf(values: ArrayLike<number>): number {
  let max = 1;
  for (let i = 0; i < values.length; i += 1) max = Math.max(max, values[i] as number);
  return max;
}

/** The rows of a step as micro-batches: what `arrange` says, with the tokens in place. */
export function layOut(rows: readonly EncodedRow[], layout: Layout, padId: number): Batch[] {
  const lengths = Int32Array.from(rows, ({ ids }) => ids.length);
  const hasSources = rows.some(({ isSource }) => isSource);
  return layout.arrange(lengths).map(({ shape, sequences }) => {
    const batch = emptyBatch(shape.batch, shape.time, padId);
    if (hasSources) batch.sources = new Uint8Array(shape.batch * shape.time);
    sequences.forEach((documents, b) => {
      let at = b * shape.time;
      documents.forEach((row, document) => {
        const encoded = rows[row] as EncodedRow;
        placeRow(batch, encoded, at, document);
        at += encoded.ids.length;
      });
    });
    return batch;
  });
}
