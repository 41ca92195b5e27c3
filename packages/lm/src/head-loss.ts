import { after, choose, gatherRows, loadTf, matMul2d, softmaxCrossEntropyWithGrad, type Tensor } from '@moraine/engine';
import { at, differentiable } from './ops.js';

/**
 * The head and the cross entropy together, in chunks of positions: no [tokens, vocabulary] matrix exists whole, and chunks beyond the
 * supervised positions are skipped. The gradient of a chunk is computed with its loss, so its logits live for that moment only.
 */
export interface HeadInput {
  /** Activations of the positions that predict, [S, C]. */
  hidden: Tensor;
  /** The head, [V, C]. */
  weight: Tensor;
  /** int32 [S] */
  targets: Tensor;
  /** How many of the S positions count, int32 scalar; the rest is padding. */
  count: Tensor;
}

/** Logits of a chunk take about this many numbers. */
const CHUNK_NUMBERS = 2 ** 22;
const CHUNK_ROWS_MIN = 32;
const CHUNK_ROWS_MAX = 512;

/** Rows of a chunk: the logits of one stay in the cache of a processor. */
export function chunkRows(vocabSize: number): number {
  const rows = 2 ** Math.floor(Math.log2(CHUNK_NUMBERS / vocabSize));
  return Math.min(CHUNK_ROWS_MAX, Math.max(CHUNK_ROWS_MIN, rows));
}

interface Chunk {
  hidden: Tensor; // [c, C]
  targets: Tensor; // int32 [c]
  isCounted: Tensor; // [c], 1 or 0
}

/**
 * Sum of cross entropies in nats over the counted positions, differentiable in `hidden` and, where it trains, in `weight`; and how many
 * of their targets have the highest logit (a tie counts).
 */
export function headLoss(input: HeadInput, trainsWeight: boolean): { lossSum: Tensor; correct: Tensor } {
  const tf = loadTf();
  let correct: Tensor | undefined;
  const lossSum = differentiable(
    trainsWeight ? [input.hidden, input.weight] : [input.hidden],
    () => {
      const result = lossAndGradients(input, trainsWeight);
      correct = tf.keep(result.correct);
      return { value: result.lossSum, saved: result.grads };
    },
    (dy, saved) => saved.map((grad) => tf.mul(grad, dy)),
  );
  return { lossSum, correct: kept(correct) };
}

function lossAndGradients({ hidden, weight, targets, count }: HeadInput, trainsWeight: boolean) {
  const tf = loadTf();
  // What is carried from chunk to chunk: loss, correct and, for a trained head, its gradient.
  let totals: Tensor[] = [tf.fill([], 0), tf.fill([], 0), ...(trainsWeight ? [tf.zerosLike(weight)] : [])];
  const dHidden: Tensor[] = [];
  for (const [index, { first, chunk }] of chunksOf({ hidden, weight, targets, count }).entries()) {
    const compute = (inputs: Tensor[]) => {
      const [part, before] = [chunkFrom(inputs), inputs.slice(3)];
      const { loss, correct, dLogits } = scoreChunk(part, weight);
      const own = tf.mul(matMul2d(dLogits, weight), tf.expandDims(part.isCounted, 1)); // [c, C]
      const sums = [loss, correct];
      if (trainsWeight) {
        const countedHidden = tf.mul(part.hidden, tf.expandDims(part.isCounted, 1));
        sums.push(matMul2d(dLogits, countedHidden, true)); // [V, C]
      }
      return [own, ...sums.map((sum, i) => tf.add(at(before, i), sum))];
    };
    const skip = (inputs: Tensor[]) => [tf.zerosLike(at(inputs, 0)), ...inputs.slice(3)];
    const turn = index === 0 ? chunk.hidden : after(chunk.hidden, at(totals, 0));
    const inputs = [turn, chunk.targets, chunk.isCounted, ...totals];
    const [own, ...sums] = index === 0 ? compute(inputs) : choose(tf.greater(count, first), inputs, compute, skip);
    if (own === undefined) throw new Error('a chunk of the head gave nothing');
    dHidden.push(own);
    totals = sums;
  }
  const [lossSum, correct, ...dWeight] = totals;
  const whole = dHidden.length === 1 ? at(dHidden, 0) : tf.concat(dHidden, 0);
  return { lossSum: kept(lossSum), correct: kept(correct), grads: [whole, ...dWeight] };
}

/** Cross entropy (nats) and most likely token of every position: losses [S], best int32 [S]; zeros in chunks beyond `count`. */
export function headScores(input: HeadInput): { losses: Tensor; best: Tensor } {
  const tf = loadTf();
  const losses: Tensor[] = [];
  const best: Tensor[] = [];
  for (const [index, { first, chunk }] of chunksOf(input).entries()) {
    const compute = ([hidden, targets]: Tensor[]) => {
      const logits = matMul2d(kept(hidden), input.weight, false, true);
      return [softmaxCrossEntropyWithGrad(logits, kept(targets)).loss, tf.argMax(logits, 1) as Tensor];
    };
    const skip = ([, targets]: Tensor[]) => [
      tf.cast(tf.zerosLike(kept(targets)), 'float32') as Tensor,
      tf.zerosLike(kept(targets)),
    ];
    const turn = index === 0 ? chunk.hidden : after(chunk.hidden, at(losses, index - 1));
    const inputs = [turn, chunk.targets];
    const [loss, top] = index === 0 ? compute(inputs) : choose(tf.greater(input.count, first), inputs, compute, skip);
    losses.push(kept(loss));
    best.push(kept(top));
  }
  return losses.length === 1
    ? { losses: at(losses, 0), best: at(best, 0) }
    : { losses: tf.concat(losses, 0), best: tf.concat(best, 0) };
}

/** The positions in chunks. Each is made to wait for the one before (`after`), so that one chunk's logits exist at a time. */
function chunksOf({ hidden, weight, targets, count }: HeadInput): { first: number; chunk: Chunk }[] {
  const tf = loadTf();
  const [positions = 0, width = 0] = hidden.shape;
  const rows = chunkRows(weight.shape[0] ?? 0);
  return Array.from({ length: Math.ceil(positions / rows) }, (_, index) => {
    const first = index * rows;
    const size = Math.min(rows, positions - first);
    const places = tf.range(first, first + size, 1, 'int32');
    return {
      first,
      chunk: {
        hidden: tf.slice(hidden, [first, 0], [size, width]) as Tensor,
        targets: tf.slice(targets, [first], [size]) as Tensor,
        isCounted: tf.cast(tf.less(places, count), 'float32') as Tensor,
      },
    };
  });
}

function scoreChunk({ hidden, targets, isCounted }: Chunk, weight: Tensor) {
  const tf = loadTf();
  const logits = matMul2d(hidden, weight, false, true); // [c, V]
  const { loss, grad } = softmaxCrossEntropyWithGrad(logits, targets);
  return {
    loss: tf.sum(tf.mul(loss, isCounted)) as Tensor,
    correct: tf.sum(tf.mul(tf.cast(isTop(logits, targets), 'float32'), isCounted)) as Tensor,
    dLogits: grad,
  };
}

/** Whether each target has the highest logit of its row: one pass cheaper than an argmax over the vocabulary. */
function isTop(logits: Tensor, targets: Tensor): Tensor {
  const tf = loadTf();
  const [rows = 0, vocabulary = 0] = logits.shape;
  const flat = tf.add(tf.range(0, rows * vocabulary, vocabulary, 'int32'), targets);
  const chosen = gatherRows(tf.reshape(logits, [rows * vocabulary]), flat); // [c]
  return tf.greaterEqual(chosen, tf.max(logits, 1));
}

function chunkFrom([hidden, targets, isCounted]: Tensor[]): Chunk {
  return { hidden: kept(hidden), targets: kept(targets), isCounted: kept(isCounted) };
}

function kept(tensor: Tensor | undefined): Tensor {
  if (tensor === undefined) throw new Error('a tensor of the head loss is missing');
  return tensor;
}
