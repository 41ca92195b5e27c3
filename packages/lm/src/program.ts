import type { BatchShape } from '@moraine/contract';
import type { ModelConfig } from '@moraine/contract/plan';
import { type Scope, type Signature, signature, type Tensor, type VariableSpec } from '@moraine/engine';
import { type Adapter, adaptedLinears } from './adapter.js';
import { batchFeeds, type FedBatch, shapeName } from './batch.js';
import { type HeadInput, headScores } from './head-loss.js';
import { isOnHost, type WeightSource } from './host.js';
import { headName, hiddenStates } from './model.js';
import { createNet, type Dropout, type Net } from './net.js';
import { selectRows } from './ops.js';

/**
 * The parts that every program over a model has: its weights as variables, the net that reads them, and the evaluation signature.
 * Variables have Hugging Face's names; an adapter's are `<path>.<role>`.
 */
export interface ModelParts {
  config: ModelConfig;
  /** What is trained or applied beside the base; null where the weights themselves are trained, or nothing is. */
  adapter: Adapter | null;
  /** Names of an adapter's variables. */
  adapterNames: readonly string[];
  /** Weights that are trained themselves, of which a frozen copy is kept to compare with; absent: nothing is compared with the base. */
  copied?: ReadonlySet<string> | undefined;
}

/** Name of the frozen copy of a weight that is trained itself. */
export const copyName = (name: string): string => `base.${name}`;

/** The frozen base of a program that compares with it. */
function baseNet(copied: ReadonlySet<string>, scope: Scope): Net {
  return createNet({ weights: { get: (name) => scope.read(copied.has(name) ? copyName(name) : name) } });
}

/** The base's activations and head at the positions that predict, where a program compares with it. */
export function baseStates({ config, copied }: ModelParts, scope: Scope, feeds: FedBatch): HeadInput['base'] {
  if (copied === undefined) return undefined;
  const net = baseNet(copied, scope);
  return { hidden: predictingStates(net, config, feeds).hidden, weight: net.get(headName(config)) };
}

/** A base's weights as variables; those that are not trained are frozen. */
export function weightVariables(
  weights: ReadonlyMap<string, WeightSource>,
  trained: ReadonlySet<string>,
): Map<string, VariableSpec> {
  return new Map(
    [...weights].map(([name, source]) => {
      const isFrozen = !trained.has(name);
      return [
        name,
        isOnHost(source) ? { shape: source.shape, isFrozen } : { shape: source.shape, from: source, isFrozen },
      ];
    }),
  );
}

/** The net over a program's variables; `values` stand in for some of them, so that gradients can be taken. */
export function scopeNet(
  { config, adapter, adapterNames }: ModelParts,
  scope: Scope,
  values?: ReadonlyMap<string, Tensor>,
  dropout?: Dropout,
): Net {
  const weights = { get: (name: string) => scope.read(name) };
  const ofAdapter = new Set(adapterNames);
  const trained = new Map([...(values ?? [])].filter(([name]) => !ofAdapter.has(name)));
  const dropping = dropout === undefined ? {} : { dropout };
  if (adapter === null) return createNet({ weights, trained, ...dropping });
  const variables = new Map(adapterNames.map((name) => [name, values?.get(name) ?? scope.read(name)]));
  const adapted = adaptedLinears(config, adapter, variables);
  return createNet({ weights, trained, adapted, method: adapter.method, ...dropping });
}

export const evaluateName = (shape: BatchShape): string => `evaluate/${shapeName(shape)}`;

/**
 * One signature a shape: `losses` (nats) and `best` int32, both [B*T], of the positions in `rows`; the first `count` count. Where the base is
 * compared with, `divergences` [B*T] too: KL(p_base ‖ q), nats.
 */
export function evaluateSignatures(parts: ModelParts, shapes: readonly BatchShape[]): Record<string, Signature> {
  return Object.fromEntries(shapes.map((shape) => [evaluateName(shape), evaluateSignature(parts, shape)]));
}

const evaluateSignature = (parts: ModelParts, shape: BatchShape): Signature =>
  signature({
    feeds: batchFeeds(shape),
    build: (feeds, scope) => {
      const net = scopeNet(parts, scope);
      const predicting = predictingStates(net, parts.config, feeds);
      const base = baseStates(parts, scope, feeds);
      return { ...headScores({ ...predicting, weight: net.get(headName(parts.config)), base }) };
    },
  });

/** The model up to the final norm, at the positions that predict: [S, C], with their targets and count. */
export function predictingStates(
  net: Net,
  config: ModelConfig,
  { ids, segments, positions, rows, targets, count }: FedBatch,
): { hidden: Tensor; targets: Tensor; count: Tensor } {
  const hidden = hiddenStates(net, config, { ids, segments, positions });
  return { hidden: selectRows(hidden, rows), targets, count };
}
