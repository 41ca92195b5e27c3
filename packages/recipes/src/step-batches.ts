import type { Batch, BatchShape } from '@moraine/contract';
import type { ModelShape } from '@moraine/contract/plan';
import { type EncodedRow, layOut, planTraining } from '@moraine/data';
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

/** Lays out a run. The shapes follow from rows, configuration and kind of device, so a resumed run gets the same. */
export function createStepBatches(options: StepBatchesOptions): StepBatches {
  const { rows, rowsOf, steps, model, packing, accumulation, padId } = options;
  const layout = planTraining({
    lengths: rows.map(({ ids }) => ids.length),
    rowsOf,
    steps,
    model,
    packing,
    accumulation,
    device: device().kind,
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
