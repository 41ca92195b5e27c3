import type { Batch, BatchShape } from '@moraine/contract';
import type { ModelShape } from '@moraine/contract/plan';
import { type EncodedRow, layOut, layoutCost, planLayout } from '@moraine/data';
import { device } from '@moraine/engine';

export interface StepBatchesOptions {
  rows: readonly EncodedRow[];
  /** Row numbers of a step, from 1. */
  rowsOf: (step: number) => readonly number[];
  steps: number;
  model: ModelShape;
  packing: boolean;
  /** Parts that a step is computed in at least. */
  accumulation: number;
  padId: number;
}

/** The micro-batches of a run: their shapes are known before the first step, so that each is traced once. */
export interface StepBatches {
  shapes: readonly BatchShape[];
  /** The micro-batches of a step, and the tokens of its rows without padding. */
  at(step: number): { batches: Batch[]; tokens: number };
}

/** Steps that the shapes are chosen for; the others have rows of the same distribution. */
const STEPS_SEEN = 32;

/** Tokens of a micro-batch, unless one row is longer: more save no time worth the memory that activations take. */
const TOKENS_MAX = { cpu: 4096, gpu: 16_384 };

/** Lays out a run. The shapes follow from rows, configuration and kind of device, so a resumed run gets the same. */
export function createStepBatches(options: StepBatchesOptions): StepBatches {
  const { rows, rowsOf, steps, model, packing, accumulation, padId } = options;
  const seen = Math.min(STEPS_SEEN, steps);
  const { kind } = device();
  const layout = planLayout({
    lengths: rows.map(({ ids }) => ids.length),
    steps: Array.from({ length: seen }, (_, i) => rowsOf(1 + Math.floor((i * steps) / seen))),
    packing,
    cost: layoutCost(model, kind),
    passes: steps,
    accumulation,
    tokensMax: TOKENS_MAX[kind],
  });
  return {
    shapes: layout.shapes,
    at: (step) => {
      const stepRows = rowsOf(step).map((row) => rows[row] as EncodedRow);
      let tokens = 0;
      for (const { ids } of stepRows) tokens += ids.length;
      return { batches: layOut(stepRows, layout, padId), tokens };
    },
  };
}
