import type { Batch, BatchShape } from '@moraine/contract';
import type { ModelConfig } from '@moraine/contract/plan';
import {
  compile,
  type NumericMode,
  type Program,
  type Session,
  type SessionTimings,
  type VariableSpec,
} from '@moraine/engine';
import type { Adapter } from './adapter.js';
import type { Supervised } from './batch.js';
import { scoreBatch, type TokenScores } from './evaluate.js';
import {
  type AdapterStore,
  adapterFeeds,
  adapterRowsNet,
  adapterSignatures,
  adapterVariables,
  createAdapterStore,
} from './generation/adapter-rows.js';
import { generationVariables } from './generation/cache.js';
import { createGenerator, type Generator } from './generation/generator.js';
import type { NetOf } from './generation/net-of.js';
import { type GenerationPlan, largest } from './generation/plan.js';
import { generationSignatures } from './generation/program.js';
import { type HostTensor, isOnHost, type WeightSource } from './host.js';
import { evaluateSignatures, scopeNet, weightVariables } from './program.js';

/** A weight that is computed when it is written, so that not all are on the host at once. */
export interface MadeWeight {
  shape: readonly number[];
  make(): HostTensor;
}

export interface ModelOptions {
  config: ModelConfig;
  weights: ReadonlyMap<string, WeightSource | MadeWeight>;
  /** An adapter and its variables by name; absent for the base alone. */
  tuned?: { adapter: Adapter; variables: ReadonlyMap<string, HostTensor> };
  /** Default `plain`: traced. */
  mode?: NumericMode;
  /** Shapes of batches to score. */
  evaluation?: readonly BatchShape[];
  /** Shapes to generate with; absent when nothing is. */
  generation?: GenerationPlan | undefined;
  /** Kinds of further adapters, one of which each answer of the generator may have: of a method, with its options and layers. */
  adapterGroups?: readonly Adapter[];
}

/** A model that is used and not trained. */
export interface Model {
  readonly mode: NumericMode;
  readonly timings: SessionTimings;
  /** Scores the supervised tokens of a batch, or those that `targets` names. */
  score(batch: Batch, targets?: Supervised): TokenScores;
  /** Null without a plan of generation. */
  readonly generator: Generator | null;
  /** Has the adapters that `generate` may name. */
  readonly adapters: AdapterStore;
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
  const variables = new Map<string, VariableSpec>();
  const initial = new Map<string, HostTensor>();
  const made = new Map<string, MadeWeight>();
  for (const [name, source] of weights)
    if ('make' in source) {
      made.set(name, source);
      variables.set(name, { shape: source.shape, isFrozen: true });
    } else {
      for (const [, spec] of weightVariables(new Map([[name, source]]), new Set())) variables.set(name, spec);
      if (isOnHost(source)) initial.set(name, source);
    }
  for (const [name, value] of tuned?.variables ?? []) {
    variables.set(name, { shape: value.shape });
    initial.set(name, value);
  }
  const parts = { config, adapter: tuned?.adapter ?? null, adapterNames: [...(tuned?.variables.keys() ?? [])] };
  const signatures = evaluateSignatures(parts, evaluation);
  const rows = largest(generation?.batches ?? []);
  if (generation !== undefined) {
    const added = [...generationVariables(config, generation), ...adapterVariables(config, adapterGroups, rows)];
    for (const [name, variable] of added) variables.set(name, variable);
    const netOf: NetOf = (scope, feeds) =>
      adapterRowsNet(scopeNet(parts, scope), config, adapterGroups, rows, scope, feeds);
    const netFeeds = (batch: number, isAll?: boolean) => adapterFeeds(adapterGroups, batch, isAll);
    Object.assign(
      signatures,
      generationSignatures(config, generation, netOf, netFeeds),
      adapterSignatures(config, adapterGroups),
    );
  }
  const program: Program = { variables, signatures };
  const session = await compile(program, { mode });
  try {
    session.write(initial);
    await writeMade(session, made);
  } catch (error) {
    session.dispose();
    throw error;
  }
  const adapters = createAdapterStore(session, config, adapterGroups, rows);
  return {
    mode,
    timings: session.timings,
    score: (batch, targets) => scoreBatch(session, batch, { shapes: evaluation, vocabSize: config.vocabSize, targets }),
    generator: generation === undefined ? null : createGenerator(session, config, generation, adapters),
    adapters,
    dispose: () => session.dispose(),
  };
}

/** Computed weights are written in portions of about so many numbers, the first too many included. */
const PORTION = 2 ** 23;

async function writeMade(session: Session, made: ReadonlyMap<string, MadeWeight>): Promise<void> {
  let portion = new Map<string, HostTensor>();
  let numbers = 0;
  for (const [name, weight] of made) {
    const value = weight.make();
    portion.set(name, value);
    numbers += value.data.length;
    await new Promise(setImmediate);
    if (numbers < PORTION) continue;
    session.write(portion);
    [portion, numbers] = [new Map(), 0];
  }
  session.write(portion);
}
