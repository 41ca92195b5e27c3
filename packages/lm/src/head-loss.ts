import { after, choose, gatherRows, invariant, loadTf, matMul2d, type Tensor } from '@moraine/engine';
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

/** Logits of a chunk take at most so many numbers, 64 MB. */
const CHUNK_NUMBERS = 2 ** 24;
/** More rows make the products with the head faster (128 -> 256: 5 % of a step at 15M), fewer skip more and hold less. */
const CHUNK_ROWS_MAX = 256;
const CHUNK_ROWS_MIN = 32;

/** Rows of a chunk, a power of two. */
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
      const { losses, isTop, probabilities } = scoreRows(part.hidden, weight, part.targets);
      const counted = tf.expandDims(part.isCounted, 1) as Tensor; // [c, 1]
      // The gradient of the logits is softmax - onehot; the onehot part of each product is a row gathered or scattered.
      const own = tf.mul(tf.sub(matMul2d(probabilities, weight), gatherRows(weight, part.targets)), counted); // [c, C]
      const sums = [losses, isTop].map((x) => tf.sum(tf.mul(x, part.isCounted)) as Tensor);
      if (trainsWeight) {
        const hiddenRows = tf.mul(part.hidden, counted);
        const chosen = tf.unsortedSegmentSum(hiddenRows as never, part.targets as never, weight.shape[0] ?? 0);
        sums.push(tf.sub(matMul2d(probabilities, hiddenRows, true), chosen)); // [V, C]
      }
      return [own, ...sums.map((sum, i) => tf.add(at(before, i), sum))];
    };
    const skip = (inputs: Tensor[]) => [tf.zerosLike(at(inputs, 0)), ...inputs.slice(3)];
    const turn = index === 0 ? chunk.hidden : after(chunk.hidden, at(totals, 0));
    const inputs = [turn, chunk.targets, chunk.isCounted, ...totals];
    const [own, ...sums] = index === 0 ? compute(inputs) : choose(tf.greater(count, first), inputs, compute, skip);
    invariant(own !== undefined, 'a chunk of the head gave nothing');
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
      const { losses: own, probabilities } = scoreRows(kept(hidden), input.weight, kept(targets));
      return [own, tf.argMax(probabilities, 1) as Tensor];
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

/**
 * Losses [c] in nats, whether each target has the highest logit [c] (1 or 0; a tie counts), softmax [c, V]. The loss is
 * logsumexp - z_target with logsumexp = max z - log max p: exact where the target's own probability is too small for a float32.
 */
function scoreRows(hidden: Tensor, weight: Tensor, targets: Tensor) {
  const tf = loadTf();
  const logits = matMul2d(hidden, weight, false, true); // [c, V]
  const [rows = 0, vocabulary = 0] = logits.shape;
  const flat = tf.add(tf.range(0, rows * vocabulary, vocabulary, 'int32'), targets);
  const chosen = gatherRows(tf.reshape(logits, [rows * vocabulary]), flat); // [c]
  const highest = tf.max(logits, 1) as Tensor;
  const probabilities = tf.softmax(logits) as Tensor;
  return {
    losses: tf.sub(tf.sub(highest, chosen), tf.log(tf.max(probabilities, 1))) as Tensor,
    isTop: tf.cast(tf.greaterEqual(chosen, highest), 'float32') as Tensor,
    probabilities,
  };
}

function chunkFrom([hidden, targets, isCounted]: Tensor[]): Chunk {
  return { hidden: kept(hidden), targets: kept(targets), isCounted: kept(isCounted) };
}

function kept(tensor: Tensor | undefined): Tensor {
  invariant(tensor !== undefined, 'a tensor of the head loss is missing');
  return tensor;
}
