import type { LlamaConfig } from '@moraine/contract/plan';
import { gatherRows, loadTf, type Tensor } from '@moraine/engine';
import type { BatchTensors } from './batch.js';
import { headLogits, hiddenStates } from './model.js';
import type { Net } from './net.js';
import { at, crossEntropySum, selectRows } from './ops.js';
import {
  type AdamwHyper,
  type AdamwScalars,
  type AdamwSlot,
  adamwUpdate,
  clipFactor,
  globalNorm,
} from './optim/adamw.js';

/**
 * The training step as pure functions of tensors: nothing here reads a value, branches on one or keeps state, so the same code runs
 * eagerly and traced. A step is: `microStep` on each micro-batch, `addGradients`, `applyStep` once.
 */
export type MicroResult = {
  /** Sum of cross entropies over the supervised tokens, nats. */
  lossSum: Tensor;
  /** Supervised tokens whose target scored highest. */
  correct: Tensor;
  /** Gradient of lossSum for each variable, in their order. */
  grads: Tensor[];
};

/** Logits of the supervised positions only: the head is never computed for the others. -> [S, V] */
export function supervisedLogits(net: Net, config: LlamaConfig, batch: BatchTensors): Tensor {
  const hidden = hiddenStates(net, config, { ids: batch.ids, segments: batch.segments });
  return headLogits(net, config, selectRows(hidden, batch.positions));
}

/** Loss and gradients of one micro-batch; `netOf` builds the net over the variables it is given. */
export function microStep(
  config: LlamaConfig,
  variables: Tensor[],
  netOf: (variables: Tensor[]) => Net,
  batch: BatchTensors,
): MicroResult {
  const tf = loadTf();
  let correct: Tensor | undefined;
  const lossOf = (...values: Tensor[]) => {
    const logits = supervisedLogits(netOf(values), config, batch);
    correct = tf.keep(correctCount(logits, batch.targets, batch.weights));
    return crossEntropySum(logits, batch.targets, batch.weights);
  };
  const { value, grads } = tf.valueAndGrads(lossOf as never)(variables);
  if (correct === undefined) throw new Error('the loss was not computed');
  const counted = tf.clone(correct); // belongs to the caller's tidy, which a kept tensor does not
  correct.dispose();
  return { lossSum: value, correct: counted, grads };
}

/** Supervised rows whose target has the highest logit (a tie counts): one pass cheaper than an argmax over the vocabulary. */
function correctCount(logits: Tensor, targets: Tensor, weights: Tensor): Tensor {
  const tf = loadTf();
  const [rows = 0, vocabulary = 0] = logits.shape;
  const flat = tf.add(tf.range(0, rows * vocabulary, vocabulary, 'int32'), targets);
  const chosen = gatherRows(tf.reshape(logits, [rows * vocabulary]), flat); // [S]
  return tf.sum(tf.mul(tf.cast(tf.greaterEqual(chosen, tf.max(logits, 1)), 'float32'), weights));
}

/** Sums gradients of micro-batches, variable by variable. */
export function addGradients(sum: readonly Tensor[], more: readonly Tensor[]): Tensor[] {
  const tf = loadTf();
  return sum.map((grad, i) => tf.add(grad, at(more, i)));
}

export interface StepScalars extends AdamwScalars {
  /** 1 / supervised tokens of the whole accumulation window. */
  perToken: Tensor;
}

export interface StepHyper extends AdamwHyper {
  /** Gradients are scaled down to this global norm; 0 is off. */
  maxGradNorm: number;
}

/** Normalises the summed gradients by tokens, clips them by global norm and updates every variable. */
export function applyStep(
  slots: readonly AdamwSlot[],
  gradSums: readonly Tensor[],
  scalars: StepScalars,
  hyper: StepHyper,
): { slots: AdamwSlot[]; gradNorm: Tensor } {
  const tf = loadTf();
  const gradNorm = tf.mul(globalNorm(gradSums), scalars.perToken);
  const factor =
    hyper.maxGradNorm > 0 ? tf.mul(clipFactor(gradNorm, hyper.maxGradNorm), scalars.perToken) : scalars.perToken;
  const grads = gradSums.map((grad) => tf.mul(grad, factor));
  return { slots: adamwUpdate(slots, grads, scalars, hyper), gradNorm };
}
