import type { Batch } from '@moraine/contract';
import type { Tensor } from '@moraine/engine';
import { type HostTensor, initialWeights, type ModelConfig, toDevice } from '../src/index.js';

/** A model small enough for exact arithmetic in tests: grouped-query attention, tied head. */
export const tinyConfig: ModelConfig = {
  modelType: 'llama',
  vocabSize: 40,
  hiddenSize: 32,
  intermediateSize: 44,
  layers: 2,
  heads: 4,
  kvHeads: 2,
  headDim: 8,
  maxPositions: 64,
  rmsNormEps: 1e-5,
  ropeTheta: 10_000,
  ropeScaling: null,
  tieEmbeddings: true,
};

export function hostWeights(config: ModelConfig = tinyConfig, seed = 7): Map<string, HostTensor> {
  return initialWeights(config, { seed, std: 0.2 });
}

export function tinyWeights(config: ModelConfig = tinyConfig, seed = 7): Map<string, Tensor> {
  return new Map([...hostWeights(config, seed)].map(([name, value]) => [name, toDevice(value)]));
}

/** Rows of given ids, all learned, padded with unscored zeros; every row is one document unless segments are given. */
export function batchOf(rows: readonly (readonly number[])[], segments?: readonly (readonly number[])[]): Batch {
  const time = Math.max(...rows.map((row) => row.length));
  const flat = (values: readonly (readonly number[])[], pad: number) =>
    Int32Array.from(values.flatMap((row) => Array.from({ length: time }, (_, t) => row[t] ?? pad)));
  const documents = segments ?? rows.map((row) => row.map(() => 0));
  return {
    batch: rows.length,
    time,
    ids: flat(rows, 0),
    labels: flat(rows, -100),
    segments: flat(documents, -1),
    positions: Int32Array.from({ length: rows.length * time }, (_, i) => i % time),
  };
}

/** Reproducible ids in [1, 40). */
export function idsOf(seed: number, count: number): number[] {
  let state = seed * 2654435761;
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return 1 + ((state >>> 8) % 39);
  });
}

/** The shape of the demo's base model. */
export const demoConfig: ModelConfig = {
  modelType: 'llama',
  vocabSize: 1024,
  hiddenSize: 128,
  intermediateSize: 344,
  layers: 5,
  heads: 4,
  kvHeads: 4,
  headDim: 32,
  maxPositions: 256,
  rmsNormEps: 1e-5,
  ropeTheta: 10_000,
  ropeScaling: null,
  tieEmbeddings: true,
};
