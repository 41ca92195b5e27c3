import {
  compile,
  type HostTensor,
  type NumericMode,
  type Session,
  type Tensor,
  type VariableSpec,
} from '@moraine/engine';
import { adapterShapes } from '../src/adapter.js';
import {
  type Adapter,
  type AdapterStore,
  adapterFeeds,
  adapterRowsNet,
  adapterSignatures,
  adapterVariables,
  createAdapterStore,
  createGenerator,
  createNet,
  type GenerationPlan,
  type Generator,
  generationSignatures,
  generationVariables,
  initialWeights,
  type ModelConfig,
} from '../src/index.js';
import { createRandom, normal } from '../src/random.js';
import { tinyConfig } from './tiny.js';

export const tinyPlan: GenerationPlan = { batches: [1, 3], prefillTimes: [8, 24], contextMax: 32, scoreTimes: [8, 24] };

export interface Generating {
  session: Session;
  generator: Generator;
  adapters: AdapterStore;
  values: Map<string, HostTensor>;
}

/** A program that only generates, over random weights, with room for adapters. */
export async function generating(
  config: ModelConfig,
  mode: NumericMode,
  { plan = tinyPlan, groups = [] as Adapter[], values = initialWeights(config, { seed: 7, std: 0.2 }) } = {},
): Promise<Generating> {
  const weights = [...values].map(([name, { shape }]): [string, VariableSpec] => [name, { shape, isFrozen: true }]);
  const rows = plan.batches.at(-1) ?? 0;
  const program = {
    variables: new Map([...weights, ...generationVariables(config, plan), ...adapterVariables(config, groups, rows)]),
    signatures: {
      ...generationSignatures(
        config,
        plan,
        (scope, feeds) => {
          const base = createNet({ weights: { get: (name: string): Tensor => scope.read(name) } });
          return adapterRowsNet(base, config, groups, rows, scope, feeds);
        },
        (batch, isAll) => adapterFeeds(groups, batch, isAll),
      ),
      ...adapterSignatures(config, groups),
    },
  };
  const session = await compile(program, { mode });
  session.write(values);
  const adapters = createAdapterStore(session, config, groups, rows);
  return { session, adapters, values, generator: createGenerator(session, config, plan, adapters) };
}

/** Variables of an adapter of the tiny model, none of them zero. */
export function randomVariables(adapter: Adapter, seed: number): Map<string, HostTensor> {
  const random = createRandom(seed);
  return new Map(
    [...adapterShapes(tinyConfig, adapter)].map(([name, shape]) => {
      const count = shape.reduce((a, b) => a * b, 1);
      return [name, { shape, data: normal(random, count, 0.5) }];
    }),
  );
}
