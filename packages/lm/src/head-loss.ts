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
  /** The frozen base's activations of the same positions and its head, where its distribution is compared with. */
  base?: { hidden: Tensor; weight: Tensor } | undefined;
  /** 1 where a position is of a source row, else 0, [S]; absent: no row is. */
  sources?: Tensor | undefined;
}

/** How dear it is to leave the base, and on the rows of which role; without sources, on all. */
export interface Pull {
  weight: number;
  on: 'task' | 'replay';
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
  /** Of the base. */
  baseHidden: Tensor | undefined; // [c, C]
  targets: Tensor; // int32 [c]
  isCounted: Tensor; // [c], 1 or 0
  isSource: Tensor | undefined; // [c], 1 or 0
}

export interface HeadLoss {
  /** Sum of cross entropies over the counted positions, nats. */
  lossSum: Tensor;
  /** How many of their targets have the highest logit (a tie counts). */
  correct: Tensor;
  /** Sum of KL(p_base ‖ q) over those of them that it is taken on, nats; 0 without a base. */
  klSum: Tensor;
  /** The part of `lossSum` that source rows have. */
  sourceLoss: Tensor;
}

/**
 * Loss of the counted positions, differentiable in `hidden` and, where it trains, in `weight`. The gradient of `lossSum` is that of
 * lossSum + pull.weight·klSum: what is reported is the cross entropy, what is minimised is both.
 */
export function headLoss(input: HeadInput, trainsWeight: boolean, pull: Pull = NO_PULL): HeadLoss {
  const tf = loadTf();
  let found: Omit<HeadLoss, 'lossSum'> | undefined;
  const lossSum = differentiable(
    trainsWeight ? [input.hidden, input.weight] : [input.hidden],
    () => {
      const { lossSum: value, grads, ...sums } = lossAndGradients(input, trainsWeight, pull);
      const { correct, klSum, sourceLoss } = sums;
      found = { correct: tf.keep(correct), klSum: tf.keep(klSum), sourceLoss: tf.keep(sourceLoss) };
      return { value, saved: grads };
    },
    (dy, saved) => saved.map((grad) => tf.mul(grad, dy)),
  );
  return {
    lossSum,
    correct: kept(found?.correct),
    klSum: kept(found?.klSum),
    sourceLoss: kept(found?.sourceLoss),
  };
}

const NO_PULL: Pull = { weight: 0, on: 'task' };

/** The counted positions of a chunk whose divergence from the base counts, [c], 1 or 0. */
function pulledOf({ isCounted, isSource }: Chunk, on: Pull['on']): Tensor {
  const tf = loadTf();
  if (isSource === undefined) return isCounted;
  return tf.mul(isCounted, on === 'replay' ? isSource : tf.sub(1, isSource));
}

function lossAndGradients(input: HeadInput, trainsWeight: boolean, { weight: klWeight, on }: Pull) {
  const tf = loadTf();
  const { weight, count, base } = input;
  // What is carried from chunk to chunk: loss, correct, divergence, loss of source rows and, for a trained head, its gradient.
  let totals: Tensor[] = [
    ...Array.from({ length: 4 }, () => tf.fill([], 0) as Tensor),
    ...(trainsWeight ? [tf.zerosLike(weight)] : []),
  ];
  const dHidden: Tensor[] = [];
  for (const [index, { first, chunk }] of chunksOf(input).entries()) {
    const compute = (inputs: Tensor[]) => {
      const [part, before] = [chunkFrom(inputs, chunk), inputs.slice(3)];
      const { losses, isTop, probabilities, divergence, pull } = scoreRows(part, weight, base?.weight);
      const pulled = pulledOf(part, on);
      const counted = tf.expandDims(part.isCounted, 1) as Tensor; // [c, 1]
      // The gradient of the logits is softmax - onehot (+ klWeight·(softmax - base's)); the onehot part of each product is a row gathered or scattered.
      const dear = input.sources === undefined ? klWeight : tf.mul(tf.expandDims(pulled, 1), klWeight);
      const slope = pull === null ? probabilities : (tf.add(probabilities, tf.mul(pull, dear)) as Tensor);
      const own = tf.mul(tf.sub(matMul2d(slope, weight), gatherRows(weight, part.targets)), counted); // [c, C]
      const total = (x: Tensor, of: Tensor) => tf.sum(tf.mul(x, of)) as Tensor;
      const ofSources = part.isSource
        ? total(losses, tf.mul(part.isCounted, part.isSource))
        : (tf.fill([], 0) as Tensor);
      const sums = [total(losses, part.isCounted), total(isTop, part.isCounted), total(divergence, pulled), ofSources];
      if (trainsWeight) {
        const hiddenRows = tf.mul(part.hidden, counted);
        const chosen = tf.unsortedSegmentSum(hiddenRows as never, part.targets as never, weight.shape[0] ?? 0);
        sums.push(tf.sub(matMul2d(slope, hiddenRows, true), chosen)); // [V, C]
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
  const [lossSum, correct, klSum, sourceLoss, ...dWeight] = totals;
  const whole = dHidden.length === 1 ? at(dHidden, 0) : tf.concat(dHidden, 0);
  return {
    lossSum: kept(lossSum),
    correct: kept(correct),
    klSum: kept(klSum),
    sourceLoss: kept(sourceLoss),
    grads: [whole, ...dWeight],
  };
}

/**
 * Cross entropy (nats) and most likely token of every position: losses [S], best int32 [S]; and, with a base, KL(p_base ‖ q) (nats) as
 * divergences [S]. Zeros in chunks beyond `count`.
 */
export function headScores(input: HeadInput): { losses: Tensor; best: Tensor; divergences?: Tensor } {
  const tf = loadTf();
  const { weight, base, count } = input;
  const parts: Tensor[][] = [];
  for (const [index, { first, chunk }] of chunksOf(input).entries()) {
    const compute = ([hidden, targets]: Tensor[]) => {
      const part = { hidden: kept(hidden), targets: kept(targets), baseHidden: chunk.baseHidden };
      const { losses, probabilities, divergence } = scoreRows(part, weight, base?.weight);
      return [losses, tf.argMax(probabilities, 1) as Tensor, ...(base === undefined ? [] : [divergence])];
    };
    const skip = ([, targets]: Tensor[]) => {
      const zeros = tf.zerosLike(kept(targets));
      const floats = tf.cast(zeros, 'float32') as Tensor;
      return [floats, zeros, ...(base === undefined ? [] : [floats])];
    };
    const turn = index === 0 ? chunk.hidden : after(chunk.hidden, at(parts[index - 1] ?? [], 0));
    const inputs = [turn, chunk.targets];
    parts.push(index === 0 ? compute(inputs) : choose(tf.greater(count, first), inputs, compute, skip));
  }
  const whole = (place: number): Tensor => {
    const pieces = parts.map((part) => at(part, place));
    return pieces.length === 1 ? at(pieces, 0) : tf.concat(pieces, 0);
  };
  return { losses: whole(0), best: whole(1), ...(base === undefined ? {} : { divergences: whole(2) }) };
}

/** The positions in chunks. Each is made to wait for the one before (`after`), so that one chunk's logits exist at a time. */
function chunksOf({ hidden, weight, targets, count, base, sources }: HeadInput): { first: number; chunk: Chunk }[] {
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
        baseHidden: base && (tf.slice(base.hidden, [first, 0], [size, width]) as Tensor),
        targets: tf.slice(targets, [first], [size]) as Tensor,
        isCounted: tf.cast(tf.less(places, count), 'float32') as Tensor,
        isSource: sources && (tf.slice(sources, [first], [size]) as Tensor),
      },
    };
  });
}

/**
 * Losses [c] in nats, whether each target has the highest logit [c] (1 or 0; a tie counts), softmax [c, V]; with a base, KL(p_base ‖ q)
 * [c] in nats and its gradient by the logits, softmax - base's softmax [c, V].
 */
function scoreRows(
  { hidden, targets, baseHidden }: Pick<Chunk, 'hidden' | 'targets' | 'baseHidden'>,
  weight: Tensor,
  baseWeight: Tensor | undefined,
) {
  const tf = loadTf();
  const { logits, highest, probabilities, logSum } = distribution(hidden, weight);
  const [rows = 0, vocabulary = 0] = logits.shape;
  const flat = tf.add(tf.range(0, rows * vocabulary, vocabulary, 'int32'), targets);
  const chosen = gatherRows(tf.reshape(logits, [rows * vocabulary]), flat); // [c]
  const scored = {
    losses: tf.sub(tf.sub(highest, chosen), tf.log(tf.max(probabilities, 1))) as Tensor,
    isTop: tf.cast(tf.greaterEqual(chosen, highest), 'float32') as Tensor,
    probabilities,
  };
  if (baseHidden === undefined || baseWeight === undefined)
    return { ...scored, divergence: tf.zerosLike(highest) as Tensor, pull: null };
  const base = distribution(baseHidden, baseWeight);
  // Σ p (log p - log q) = Σ p (z_p - z_q) - logsumexp z_p + logsumexp z_q, exactly 0 where both are the same.
  const apart = tf.sum(tf.mul(base.probabilities, tf.sub(base.logits, logits)), 1);
  return {
    ...scored,
    divergence: tf.add(apart, tf.sub(logSum, base.logSum)) as Tensor,
    pull: tf.sub(probabilities, base.probabilities) as Tensor,
  };
}

/** Logits [c, V], the highest of each row, softmax, and logsumexp = max z - log max p: exact where a probability is too small for a float32. */
function distribution(hidden: Tensor, weight: Tensor) {
  const tf = loadTf();
  const logits = matMul2d(hidden, weight, false, true);
  const highest = tf.max(logits, 1) as Tensor;
  const probabilities = tf.softmax(logits) as Tensor;
  return { logits, highest, probabilities, logSum: tf.sub(highest, tf.log(tf.max(probabilities, 1))) as Tensor };
}

function chunkFrom([hidden, targets, isCounted]: Tensor[], { baseHidden, isSource }: Chunk): Chunk {
  return { hidden: kept(hidden), targets: kept(targets), isCounted: kept(isCounted), baseHidden, isSource };
}

function kept(tensor: Tensor | undefined): Tensor {
  invariant(tensor !== undefined, 'a tensor of the head loss is missing');
  return tensor;
}
