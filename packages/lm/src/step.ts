import type { LlamaConfig } from '@moraine/contract/plan';
import { loadTf, type Scope, type Signature, type Tensor } from '@moraine/engine';
import { type BatchShape, batchFeeds, shapeName } from './batch.js';
import { headLoss } from './head-loss.js';
import { headName } from './model.js';
import type { Net } from './net.js';
import { at } from './ops.js';
import { type AdamwHyper, clipFactor, globalNorm } from './optim/adamw.js';
import { type ModelParts, predictingStates, scopeNet } from './program.js';

/**
 * The training step as signatures: `micro` once for each micro-batch adds its gradients up in the state, `apply` turns the sum into an
 * update. Nothing here reads a value or branches on one, so the same code runs eagerly and traced.
 */
export interface StepHyper extends AdamwHyper {
  /** Gradients are scaled down to this global norm; 0 is off. */
  maxGradNorm: number;
}

export const microName = (shape: BatchShape): string => `micro/${shapeName(shape)}`;
export const APPLY = 'apply';

/** Names of what belongs to a trained variable: the moments of Adam and the sum of gradients of the step under way. */
export const stateNames = (name: string) => ({
  value: name,
  moment1: `${name}.moment1`,
  moment2: `${name}.moment2`,
  grad: `${name}.grad`,
});

/** A trained variable's name and shape. */
export interface Trained {
  name: string;
  shape: readonly number[];
}

/**
 * One signature a shape: adds the gradients of the summed cross entropy to `<name>.grad` and answers `lossSum` (nats) and `correct`, the
 * number of supervised tokens that scored highest. With dropout it takes `seed` int32 [2] as well.
 */
export function microSignatures(
  parts: ModelParts,
  trained: readonly Trained[],
  shapes: readonly BatchShape[],
): Record<string, Signature> {
  const rate = parts.adapter?.dropout ?? 0;
  return Object.fromEntries(
    shapes.map((shape) => [
      microName(shape),
      {
        feeds: { ...batchFeeds(shape), ...(rate > 0 ? { seed: { shape: [2], dtype: 'int32' as const } } : {}) },
        build: (feeds, scope) => {
          const dropout = feeds.seed === undefined ? undefined : { rate, seed: feeds.seed };
          const netOf = (values: readonly Tensor[]) =>
            scopeNet(parts, scope, new Map(trained.map(({ name }, i) => [name, at(values, i)])), dropout);
          const values = trained.map(({ name }) => scope.read(name));
          const { lossSum, correct, grads } = lossAndGradients(parts.config, values, netOf, feeds);
          for (const [i, { name }] of trained.entries()) scope.assignAdd(stateNames(name).grad, at(grads, i));
          return { lossSum, correct };
        },
      } satisfies Signature,
    ]),
  );
}

/** Loss, correct tokens and the gradient of the loss for each value; `netOf` builds the net over the values it is given. */
export function lossAndGradients(
  config: LlamaConfig,
  values: Tensor[],
  netOf: (values: Tensor[]) => Net,
  feeds: Readonly<Record<string, Tensor>>,
): { lossSum: Tensor; correct: Tensor; grads: Tensor[] } {
  const tf = loadTf();
  let correct: Tensor | undefined;
  const lossOf = (...given: Tensor[]) => {
    const net = netOf(given);
    const name = headName(config);
    const result = headLoss({ ...predictingStates(net, config, feeds), weight: net.get(name) }, net.trains(name));
    correct = result.correct;
    return result.lossSum;
  };
  const { value, grads } = tf.valueAndGrads(lossOf as never)(values);
  if (correct === undefined) throw new Error('the loss was not computed');
  const counted = tf.clone(correct); // belongs to the caller's tidy, which a kept tensor does not
  correct.dispose();
  return { lossSum: value, correct: counted, grads };
}

const scalar = { shape: [], dtype: 'float32' } as const;

/**
 * Normalises the summed gradients by tokens (`perToken` = 1 / supervised tokens of the step), clips them by global norm, updates every
 * variable and sets the sums to zero. Answers `gradNorm`, the norm of the mean gradient before clipping.
 */
export function applySignature(trained: readonly Trained[], hyper: StepHyper): Signature {
  return {
    feeds: { perToken: scalar, learningRate: scalar, correction1: scalar, rootCorrection2: scalar },
    build: ({ perToken, learningRate, correction1, rootCorrection2 }, scope) => {
      if (!perToken || !learningRate || !correction1 || !rootCorrection2) throw new Error('a feed of apply is missing');
      const tf = loadTf();
      const sums = trained.map(({ name }) => scope.read(stateNames(name).grad));
      const gradNorm = tf.mul(globalNorm(sums), perToken) as Tensor;
      const factor =
        hyper.maxGradNorm > 0 ? tf.mul(clipFactor(gradNorm, hyper.maxGradNorm), perToken) : (perToken as Tensor);
      const decay = tf.sub(1, tf.mul(learningRate, hyper.weightDecay)) as Tensor;
      const scalars = { learningRate, correction1, rootCorrection2 };
      for (const [i, { name, shape }] of trained.entries()) {
        const decays = hyper.weightDecay !== 0 && shape.length >= 2; // matrices only
        update(scope, name, tf.mul(at(sums, i), factor) as Tensor, scalars, hyper, decays ? decay : undefined);
        scope.assign(stateNames(name).grad, tf.fill([...shape], 0) as Tensor);
      }
      return { gradNorm };
    },
  };
}

function update(
  scope: Scope,
  name: string,
  grad: Tensor,
  scalars: Parameters<Scope['adam']>[2],
  hyper: StepHyper,
  decay: Tensor | undefined,
): void {
  const { value, moment1, moment2 } = stateNames(name);
  scope.adam({ value, moment1, moment2 }, grad, scalars, hyper, decay);
}
