import type { BatchShape } from '@moraine/contract';
import type { ModelConfig } from '@moraine/contract/plan';
import { invariant, loadTf, type Scope, type Signature, signature, type Tensor } from '@moraine/engine';
import { batchFeeds, type FedBatch, shapeName } from './batch.js';
import { headLoss } from './head-loss.js';
import { headName } from './model.js';
import type { Net } from './net.js';
import { at } from './ops.js';
import { globalNorm } from './optim/clip.js';
import { type Optimizer, slotName } from './optim/optimizer.js';
import { type ModelParts, predictingStates, scopeNet } from './program.js';

/**
 * The training step as signatures: `micro` once for each micro-batch adds its gradients up in the state, `apply` turns the sum into an
 * update. Nothing here reads a value or branches on one, so the same code runs eagerly and traced.
 */
export const microName = (shape: BatchShape): string => `micro/${shapeName(shape)}`;
export const APPLY = 'apply';

/** Name of the sum of a trained variable's gradients in the step under way. */
export const gradName = (name: string): string => `${name}.grad`;

/** A trained variable's name and shape. */
export interface Trained {
  name: string;
  shape: readonly number[];
  /** Its learning rate as a multiple of the run's; absent: 1. */
  rate?: number | undefined;
}

/** An optimiser's state of every trained variable, as variables `<name>.<slot>`. */
export const slotVariables = (trained: readonly Trained[], slots: readonly string[]): Trained[] =>
  trained.flatMap(({ name, shape }) => slots.map((slot) => ({ name: slotName(name, slot), shape })));

/**
 * One signature a shape: adds the gradients of the summed cross entropy to `<name>.grad` and returns `lossSum` (nats) and `correct`, the
 * number of supervised tokens that scored highest. With dropout it takes `seed` int32 [2] as well.
 */
export function microSignatures(
  parts: ModelParts,
  trained: readonly Trained[],
  shapes: readonly BatchShape[],
): Record<string, Signature> {
  const rate = parts.adapter?.dropout ?? 0;
  const seed = { shape: [2], dtype: 'int32' } as const;
  const micro = (feeds: FedBatch, scope: Scope, dropout?: { rate: number; seed: Tensor }) =>
    addGradients(parts, trained, feeds, scope, dropout);
  const signatureOf = (shape: BatchShape): Signature =>
    rate > 0
      ? signature({
          feeds: { ...batchFeeds(shape), seed },
          build: (feeds, scope) => micro(feeds, scope, { rate, seed: feeds.seed }),
        })
      : signature({ feeds: batchFeeds(shape), build: (feeds, scope) => micro(feeds, scope) });
  return Object.fromEntries(shapes.map((shape) => [microName(shape), signatureOf(shape)]));
}

function addGradients(
  parts: ModelParts,
  trained: readonly Trained[],
  feeds: FedBatch,
  scope: Scope,
  dropout: { rate: number; seed: Tensor } | undefined,
) {
  const netOf = (values: readonly Tensor[]) =>
    scopeNet(parts, scope, new Map(trained.map(({ name }, i) => [name, at(values, i)])), dropout);
  const values = trained.map(({ name }) => scope.read(name));
  const { lossSum, correct, grads } = lossAndGradients(parts.config, values, netOf, feeds);
  for (const [i, { name }] of trained.entries()) scope.assignAdd(gradName(name), at(grads, i));
  return { lossSum, correct };
}

/** Loss, correct tokens and the gradient of the loss for each value; `netOf` builds the net over the values it is given. */
export function lossAndGradients(
  config: ModelConfig,
  values: Tensor[],
  netOf: (values: Tensor[]) => Net,
  feeds: FedBatch,
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
  invariant(correct !== undefined, 'the loss was not computed');
  const counted = tf.clone(correct); // belongs to the caller's tidy, which a kept tensor does not
  correct.dispose();
  return { lossSum: value, correct: counted, grads };
}

const scalar = { shape: [], dtype: 'float32' } as const;

/**
 * Normalises the summed gradients by tokens (`perToken` = 1 / supervised tokens of the step), updates every variable as the optimiser
 * says and sets the sums to zero. Returns `gradNorm`, the norm of the mean gradient before clipping.
 */
export function applySignature(trained: readonly Trained[], optimizer: Optimizer): Signature {
  const own = Object.keys(optimizer.scalarsAt(1)).map((name) => [name, scalar] as const);
  return signature({
    feeds: { ...Object.fromEntries(own), perToken: scalar, learningRate: scalar },
    build: ({ perToken, learningRate, ...scalars }, scope) => {
      const tf = loadTf();
      const gradients = trained.map((each) => ({ ...each, sum: scope.read(gradName(each.name)) }));
      const gradNorm = tf.mul(globalNorm(gradients.map(({ sum }) => sum)), perToken) as Tensor;
      for (const { name, shape, sum, rate } of gradients) {
        const own = rate === undefined ? learningRate : (tf.mul(learningRate, rate) as Tensor);
        optimizer.update({ name, shape, sum, scale: perToken, norm: gradNorm, learningRate: own }, scalars, scope);
        scope.assign(gradName(name), tf.fill([...shape], 0) as Tensor);
      }
      return { gradNorm };
    },
  });
}
