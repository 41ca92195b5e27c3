import type { ModelShape } from '@moraine/contract/plan';
import { invariant, type NumericMode } from '@moraine/engine';
import {
  type Adapter,
  createModel,
  type GenerationPlan,
  type Generator,
  type Model,
  type ModelConfig,
  type ModelOptions,
} from '@moraine/lm';
import { adapterBytes, cacheBytes, weightBytes } from './plan.js';

/** What every model of a server is made with. */
export interface ModelParts {
  config: ModelConfig;
  plan: GenerationPlan;
  mode: NumericMode;
}

/** A model that is open for as long as it answers. */
export interface OpenModel {
  readonly model: Model;
  readonly generator: Generator;
  /** Answers under way. */
  users(): number;
  /** Counts an answer until what it returns is called. */
  use(): () => void;
  /** Gives its memory back once its last answer has ended; resolves then. */
  close(): Promise<void>;
  /** Gives it back now: answers under way fail. */
  dispose(): void;
}

/** Compiles weights, with room for adapters of some kinds, for answers. */
export async function openForAnswers(
  { config, plan, mode }: ModelParts,
  weights: ModelOptions['weights'],
  groups: readonly Adapter[] = [],
): Promise<OpenModel> {
  const model = await createModel({ config, weights, mode, generation: plan, adapterGroups: groups });
  const { generator } = model;
  invariant(generator !== null, 'a model with a plan of generation has a generator');
  let users = 0;
  let closing: { isOver: Promise<void>; end(): void } | null = null;
  const close = (): Promise<void> => {
    if (closing === null) {
      let resolve: () => void = () => undefined;
      const isOver = new Promise<void>((fulfil) => {
        resolve = fulfil;
      });
      closing = {
        isOver,
        end: () => {
          model.dispose();
          resolve();
        },
      };
      if (users === 0) closing.end();
    }
    return closing.isOver;
  };
  return {
    model,
    generator,
    users: () => users,
    use: () => {
      users += 1;
      let isOver = false;
      return () => {
        if (isOver) return;
        isOver = true;
        users -= 1;
        if (users === 0) closing?.end();
      };
    },
    close,
    dispose: () => model.dispose(),
  };
}

/** What such a model takes: weights, caches, and an adapter of every kind for each row and one more. */
export function modelBytes(
  config: ModelShape,
  plan: GenerationPlan,
  weights: ReadonlyMap<string, { shape: readonly number[] }>,
  groups: readonly Adapter[] = [],
): number {
  const rows = 1 + (plan.batches.at(-1) ?? 0);
  const adapters = groups.reduce((total, adapter) => total + rows * adapterBytes(config, adapter), 0);
  return weightBytes(weights) + cacheBytes(config, plan) + adapters;
}
