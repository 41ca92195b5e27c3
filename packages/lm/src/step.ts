import type { BatchShape } from '@moraine/contract';
import type { ModelConfig } from '@moraine/contract/plan';
import { invariant, loadTf, type Scope, type Signature, signature, type Tensor } from '@moraine/engine';
import type { Adapter } from './adapter.js';
import { batchFeeds, type FedBatch, shapeName, sourcesFeed } from './batch.js';
import { type HeadInput, type HeadLoss, headLoss, type Pull } from './head-loss.js';
import { headName } from './model.js';
import type { Dropout, Net } from './net.js';
import { at } from './ops.js';
import { globalNorm } from './optim/clip.js';
import { type Optimizer, slotName } from './optim/optimizer.js';
import { baseStates, type ModelParts, predictingStates, scopeNet } from './program.js';

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

/** What a step drops while it trains. */
export type DropoutRates = Omit<Dropout, 'seed'>;

export const dropoutRates = (adapter: Pick<Adapter, 'dropout'> | null, attention = 0): DropoutRates => ({
  rate: adapter?.dropout ?? 0,
  attention,
});

/** Whether a pass of a step needs a seed. */
export const isDropping = ({ rate, attention = 0 }: DropoutRates): boolean => rate > 0 || attention > 0;

/** What a step knows of its rows and of the base beside the cross entropy. */
export interface StepAims {
  /** Weight of KL(p_base ‖ q) in what is minimised. */
  klToBase?: number | undefined;
  /** The rows that it is taken on: without sources all, of any role. Default `task`. */
  klOn?: Pull['on'] | undefined;
  /** Rows of the role source may come: `sources` is fed, and their loss is told apart. */
  hasSources?: boolean | undefined;
}

/**
 * One signature a shape: adds the gradients of the summed cross entropy (+ klToBase·KL(p_base ‖ q)) to `<name>.grad` and returns `lossSum`
 * (of cross entropies, nats) and `correct`, the number of supervised tokens that scored highest; where the base is compared with, `klSum`
 * (nats) too, and with sources `sourceLoss`, their part of lossSum. With dropout it takes `seed` int32 [2] as well.
 */
export function microSignatures(
  parts: ModelParts,
  trained: readonly Trained[],
  shapes: readonly BatchShape[],
  aims: StepAims = {},
  rates: DropoutRates = dropoutRates(parts.adapter),
): Record<string, Signature> {
  const seed = { shape: [2], dtype: 'int32' } as const;
  const micro = (feeds: FedBatch & { sources?: Tensor }, scope: Scope, dropout?: Dropout) =>
    addGradients(parts, trained, feeds, scope, { dropout, aims });
  const feedsOf = (shape: BatchShape) => ({
    ...batchFeeds(shape),
    ...(aims.hasSources ? { sources: sourcesFeed(shape) } : {}),
  });
  const signatureOf = (shape: BatchShape): Signature =>
    isDropping(rates)
      ? signature({
          feeds: { ...feedsOf(shape), seed },
          build: (feeds, scope) => micro(feeds, scope, { ...rates, seed: feeds.seed }),
        })
      : signature({ feeds: feedsOf(shape), build: (feeds, scope) => micro(feeds, scope) });
  return Object.fromEntries(shapes.map((shape) => [microName(shape), signatureOf(shape)]));
}

function addGradients(
  parts: ModelParts,
  trained: readonly Trained[],
  feeds: FedBatch & { sources?: Tensor },
  scope: Scope,
  { dropout, aims }: { dropout: Dropout | undefined; aims: StepAims },
) {
  const netOf = (values: readonly Tensor[]) =>
    scopeNet(parts, scope, new Map(trained.map(({ name }, i) => [name, at(values, i)])), dropout);
  const values = trained.map(({ name }) => scope.read(name));
  const base = baseStates(parts, scope, feeds);
  const pull = { weight: aims.klToBase ?? 0, on: aims.klOn ?? 'task' };
  const found = lossAndGradients(parts.config, values, netOf, feeds, { base, pull, sources: feeds.sources });
  const { lossSum, correct, klSum, sourceLoss, grads } = found;
  for (const [i, { name }] of trained.entries()) scope.assignAdd(gradName(name), at(grads, i));
  return { lossSum, correct, ...(base && { klSum }), ...(aims.hasSources && { sourceLoss }) };
}

/** What the loss is beside the cross entropy: how far from the base, and how dear that is; and whose it is. */
interface Regularizer extends Pick<HeadInput, 'base' | 'sources'> {
  pull?: Pull;
}

/** What `headLoss` returns, and the gradient of the loss for each value; `netOf` builds the net over the values it is given. */
export function lossAndGradients(
  config: ModelConfig,
  values: Tensor[],
  netOf: (values: Tensor[]) => Net,
  feeds: FedBatch,
  { base, sources, pull }: Regularizer = {},
): HeadLoss & { grads: Tensor[] } {
  const tf = loadTf();
  let found: HeadLoss | undefined;
  const lossOf = (...given: Tensor[]) => {
    const net = netOf(given);
    const name = headName(config);
    const input = { ...predictingStates(net, config, feeds), weight: net.get(name), base, sources };
    found = headLoss(input, net.trains(name), pull);
    return found.lossSum;
  };
  const { value, grads } = tf.valueAndGrads(lossOf as never)(values);
  const own = (kept: Tensor | undefined): Tensor => {
    invariant(kept !== undefined, 'the loss was not computed');
    const copy = tf.clone(kept); // belongs to the caller's tidy, which a kept tensor does not
    kept.dispose();
    return copy;
  };
  const { correct, klSum, sourceLoss } = found ?? {};
  return { lossSum: value, correct: own(correct), klSum: own(klSum), sourceLoss: own(sourceLoss), grads };
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
        optimizer.update(
          { name, shape, sum, scale: perToken, norm: gradNorm, learningRate: own, runRate: learningRate },
          scalars,
          scope,
        );
        scope.assign(gradName(name), tf.fill([...shape], 0) as Tensor);
      }
      return { gradNorm };
    },
  });
}
