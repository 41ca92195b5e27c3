import {
  compile,
  type HostTensor,
  type NumericMode,
  type Session,
  type Tensor,
  type VariableSpec,
} from '@moraine/engine';
import {
  type AdapterGroup,
  type AdapterSlots,
  adapterSlotFeeds,
  adapterSlotNet,
  adapterSlotVariables,
  createAdapterSlots,
  createGenerator,
  createNet,
  type GenerationPlan,
  type Generator,
  generationSignatures,
  generationVariables,
  initialWeights,
  type ModelConfig,
} from '../src/index.js';

export const tinyPlan: GenerationPlan = { batches: [1, 3], prefillTimes: [8, 24], contextMax: 32, scoreTimes: [8, 24] };

export interface Generating {
  session: Session;
  generator: Generator;
  slots: AdapterSlots;
  values: Map<string, HostTensor>;
}

/** A program that only generates, over random weights, with room for adapters. */
export async function generating(
  config: ModelConfig,
  mode: NumericMode,
  { plan = tinyPlan, groups = [] as AdapterGroup[], values = initialWeights(config, { seed: 7, std: 0.2 }) } = {},
): Promise<Generating> {
  const weights = [...values].map(([name, { shape }]): [string, VariableSpec] => [name, { shape, isFrozen: true }]);
  const program = {
    variables: new Map([...weights, ...generationVariables(config, plan), ...adapterSlotVariables(config, groups)]),
    signatures: generationSignatures(
      config,
      plan,
      (scope, feeds) => {
        const base = createNet({ weights: { get: (name: string): Tensor => scope.read(name) } });
        return adapterSlotNet(base, config, groups, scope, feeds);
      },
      (batch) => adapterSlotFeeds(groups, batch),
    ),
  };
  const session = await compile(program, { mode });
  session.write(values);
  const slots = createAdapterSlots(session, config, groups);
  return { session, slots, values, generator: createGenerator(session, config, plan, slots) };
}
