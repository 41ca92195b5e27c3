import type { Batch, BatchShape } from '@moraine/contract';
import type { ModelConfig } from '@moraine/contract/plan';
import { compile, type NumericMode, type Program, type SessionTimings } from '@moraine/engine';
import type { Adapter } from './adapter.js';
import type { Supervised } from './batch.js';
import { scoreBatch, type TokenScores } from './evaluate.js';
import {
  type AdapterGroup,
  type AdapterSlots,
  adapterSlotFeeds,
  adapterSlotNet,
  adapterSlotVariables,
  createAdapterSlots,
} from './generation/adapter-slots.js';
import { generationVariables } from './generation/cache.js';
import { createGenerator, type Generator } from './generation/generator.js';
import type { NetOf } from './generation/net-of.js';
import type { GenerationPlan } from './generation/plan.js';
import { generationSignatures } from './generation/program.js';
import { type HostTensor, isOnHost, type WeightSource } from './host.js';
import { evaluateSignatures, scopeNet, weightVariables } from './program.js';

export interface ModelOptions {
  config: ModelConfig;
  weights: ReadonlyMap<string, WeightSource>;
  /** An adapter and its variables by name; absent for the base alone. */
  tuned?: { adapter: Adapter; variables: ReadonlyMap<string, HostTensor> };
  /** Default `plain`: traced. */
  mode?: NumericMode;
  /** Shapes of batches to score. */
  evaluation?: readonly BatchShape[];
  /** Shapes to generate with; absent when nothing is. */
  generation?: GenerationPlan | undefined;
  /** Room for further adapters, one of which each answer of the generator may have; see `AdapterGroup`. */
  adapterGroups?: readonly AdapterGroup[];
}

/** A model that is used and not trained. */
export interface Model {
  readonly mode: NumericMode;
  readonly timings: SessionTimings;
  /** Scores the supervised tokens of a batch, or those that `targets` names. */
  score(batch: Batch, targets?: Supervised): TokenScores;
  /** Null without a plan of generation. */
  readonly generator: Generator | null;
  /** Loads the adapters that `generate` may name. */
  readonly adapters: AdapterSlots;
  dispose(): void;
}

/** Compiles a base, with an adapter or without, for evaluation and generation. */
export async function createModel({
  config,
  weights,
  tuned,
  mode = 'plain',
  evaluation = [],
  generation,
  adapterGroups = [],
}: ModelOptions): Promise<Model> {
  const variables = weightVariables(weights, new Set());
  const initial = new Map<string, HostTensor>();
  for (const [name, source] of weights) if (isOnHost(source)) initial.set(name, source);
  for (const [name, value] of tuned?.variables ?? []) {
    variables.set(name, { shape: value.shape });
    initial.set(name, value);
  }
  const parts = { config, adapter: tuned?.adapter ?? null, adapterNames: [...(tuned?.variables.keys() ?? [])] };
  const signatures = evaluateSignatures(parts, evaluation);
  if (generation !== undefined) {
    const added = [...generationVariables(config, generation), ...adapterSlotVariables(config, adapterGroups)];
    for (const [name, variable] of added) variables.set(name, variable);
    const netOf: NetOf = (scope, feeds) => adapterSlotNet(scopeNet(parts, scope), config, adapterGroups, scope, feeds);
    Object.assign(
      signatures,
      generationSignatures(config, generation, netOf, (batch) => adapterSlotFeeds(adapterGroups, batch)),
    );
  }
  const program: Program = { variables, signatures };
  const session = await compile(program, { mode });
  session.write(initial);
  const adapters = createAdapterSlots(session, config, adapterGroups);
  return {
    mode,
    timings: session.timings,
    score: (batch, targets) => scoreBatch(session, batch, { shapes: evaluation, vocabSize: config.vocabSize, targets }),
    generator: generation === undefined ? null : createGenerator(session, config, generation, adapters),
    adapters,
    dispose: () => session.dispose(),
  };
}
