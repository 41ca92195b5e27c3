import type { LlamaConfig } from '@moraine/contract/plan';
import { compile, type NumericMode, type Program, type SessionTimings } from '@moraine/engine';
import type { Adapter } from './adapter.js';
import type { Batch, BatchShape } from './batch.js';
import { scoreBatch, type TokenScores } from './evaluate.js';
import { type HostTensor, isOnHost, type WeightSource } from './host.js';
import { evaluateSignatures, weightVariables } from './program.js';

export interface ModelOptions {
  config: LlamaConfig;
  weights: ReadonlyMap<string, WeightSource>;
  /** An adapter and its variables by name; absent for the base alone. */
  tuned?: { adapter: Adapter; variables: ReadonlyMap<string, HostTensor> };
  /** Default `plain`: traced. */
  mode?: NumericMode;
  /** Shapes of batches to score. */
  evaluation?: readonly BatchShape[];
}

/** A model that is used and not trained. */
export interface Model {
  readonly mode: NumericMode;
  readonly timings: SessionTimings;
  score(batch: Batch): TokenScores;
  dispose(): void;
}

/** Compiles a base, with an adapter or without, for evaluation. */
export async function createModel({
  config,
  weights,
  tuned,
  mode = 'plain',
  evaluation = [],
}: ModelOptions): Promise<Model> {
  const variables = weightVariables(weights, true);
  const initial = new Map<string, HostTensor>();
  for (const [name, source] of weights) if (isOnHost(source)) initial.set(name, source);
  for (const [name, value] of tuned?.variables ?? []) {
    variables.set(name, { shape: value.shape });
    initial.set(name, value);
  }
  const parts = { config, adapter: tuned?.adapter ?? null, adapterNames: [...(tuned?.variables.keys() ?? [])] };
  const program: Program = { variables, signatures: evaluateSignatures(parts, evaluation) };
  const session = await compile(program, { mode });
  session.write(initial);
  return {
    mode,
    timings: session.timings,
    score: (batch) => scoreBatch(session, batch, evaluation),
    dispose: () => session.dispose(),
  };
}
