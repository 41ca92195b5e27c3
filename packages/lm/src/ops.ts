import type { Activation } from '@moraine/contract/plan';
import { gatherRows, invariant, loadTf, matMul2d, type Tensor } from '@moraine/engine';

/**
 * The operations of the model with gradients written by hand: fewer kernels and less memory than tfjs would record, and nothing is
 * computed for weights that are frozen. Each is tested against the plain tfjs composition in test/gradients.test.ts.
 */
type Saved = readonly Tensor[];
/** As many tensors as were saved. */
type Kept<S extends Saved> = { [K in keyof S]: Tensor };

/**
 * Calls `forward` once with the gradient `backward`, which gets what forward returned in `saved`, in that order. What the pass itself
 * created must come through `saved`: tfjs disposes of the rest when the forward pass ends.
 */
export function differentiable<const S extends Saved>(
  inputs: Tensor[],
  forward: () => { value: Tensor; saved: S },
  backward: (dy: Tensor, saved: Kept<S>) => Tensor[],
): Tensor {
  const run = loadTf().customGrad((...args: unknown[]) => {
    const save = args[args.length - 1] as (tensors: Saved) => void;
    const { value, saved } = forward();
    save(saved);
    return { value, gradFunc: (dy: Tensor, kept: Tensor[]) => backward(dy, kept as Saved as Kept<S>) };
  });
  return run(...inputs);
}

/** The tensor at a place of a list whose length no type knows; a missing one is a fault of the caller. */
export function at(tensors: readonly Tensor[], index: number): Tensor {
  const tensor = tensors[index];
  invariant(tensor !== undefined, `no tensor ${index} among ${tensors.length}`);
  return tensor;
}

/** y = x·Wᵀ with both differentiated: x [N, in], weight [out, in] -> [N, out]. */
export function linear(x: Tensor, weight: Tensor): Tensor {
  return differentiable(
    [x, weight],
    () => ({ value: matMul2d(x, weight, false, true), saved: [x, weight] }),
    (dy, [keptX, keptWeight]) => [matMul2d(dy, keptWeight), matMul2d(dy, keptX, true)],
  );
}

/** y = x·Wᵀ through a frozen weight: x [N, in], weight [out, in] -> [N, out]. No gradient of the weight is computed. */
export function frozenLinear(x: Tensor, weight: Tensor): Tensor {
  return differentiable(
    [x],
    () => ({ value: matMul2d(x, weight, false, true), saved: [weight] }),
    (dy, [kept]) => [matMul2d(dy, kept)],
  );
}

/** Rows of a trained table: weight [V, C], ids int32 [N] -> [N, C]. Repeated ids add up in the gradient. */
export function embedding(weight: Tensor, ids: Tensor): Tensor {
  return differentiable(
    [weight],
    () => ({ value: gatherRows(weight, ids), saved: [ids] }),
    (dy, [kept]) => [loadTf().unsortedSegmentSum(dy as never, kept as never, weight.shape[0] ?? 0)],
  );
}

/** Rows at `index` of an activation: x [N, C], index int32 [S] -> [S, C]. */
export function selectRows(x: Tensor, index: Tensor): Tensor {
  return embedding(x, index);
}

/** Root-mean-square norm x / sqrt(mean(x²) + eps) · w over the last axis: x [N, C], weight [C]. Zhang & Sennrich 2019, Eq. 4. */
export function rmsNorm(x: Tensor, weight: Tensor, eps: number, trainsWeight: boolean): Tensor {
  const tf = loadTf();
  const width = weight.shape[0] ?? 0;
  return differentiable(
    trainsWeight ? [x, weight] : [x],
    () => {
      const scale = tf.rsqrt(tf.add(tf.mean(tf.square(x), 1, true), eps)); // [N, 1]
      return { value: tf.mul(tf.mul(x, scale), weight), saved: [x, scale, weight] };
    },
    (dy, [keptX, scale, keptWeight]) => {
      const product = tf.mul(dy, keptX);
      const inner = matMul2d(product, tf.reshape(tf.div(keptWeight, width), [width, 1])); // [N, 1], mean of dy·w·x
      const dx = tf.sub(
        tf.mul(tf.mul(dy, keptWeight), scale),
        tf.mul(keptX, tf.mul(inner, tf.mul(tf.square(scale), scale))),
      );
      if (!trainsWeight) return [dx];
      return [dx, tf.reshape(matMul2d(scale, product, true), [width])];
    },
  );
}

/** y + b in every row: y [N, D], bias [D] -> [N, D]. */
export function addBias(y: Tensor, bias: Tensor, trainsBias: boolean): Tensor {
  const tf = loadTf();
  return differentiable(
    trainsBias ? [y, bias] : [y],
    () => ({ value: tf.add(y, bias), saved: [] }),
    (dy) => (trainsBias ? [dy, tf.sum(dy, 0)] : [dy]),
  );
}

/** act(gate) · up, elementwise [N, F]. Shazeer 2020, arXiv:2002.05202, Eqs. 5 and 6. */
export function gatedUnit(activation: Activation, gate: Tensor, up: Tensor): Tensor {
  return activation === 'silu' ? swiglu(gate, up) : geglu(gate, up);
}

/** silu(gate) · up = gate · sigmoid(gate) · up. */
export function swiglu(gate: Tensor, up: Tensor): Tensor {
  const tf = loadTf();
  return differentiable(
    [gate, up],
    () => {
      const gateOpen = tf.sigmoid(gate);
      const silu = tf.mul(gate, gateOpen);
      return { value: tf.mul(silu, up), saved: [gateOpen, silu, up] };
    },
    (dy, [gateOpen, silu, keptUp]) => {
      // silu' = s + silu·(1 - s)
      const slope = tf.sub(tf.add(gateOpen, silu), tf.mul(silu, gateOpen));
      return [tf.mul(tf.mul(dy, keptUp), slope), tf.mul(dy, silu)];
    },
  );
}

const GELU_SCALE = Math.sqrt(2 / Math.PI);
const GELU_CUBE = 0.044715;

/** gelu(gate) · up with gelu(x) = x/2 · (1 + tanh(√(2/π)·(x + 0.044715·x³))). Hendrycks & Gimpel 2016, arXiv:1606.08415, §2. */
export function geglu(gate: Tensor, up: Tensor): Tensor {
  const tf = loadTf();
  return differentiable(
    [gate, up],
    () => {
      const cubic = tf.mul(gate, tf.add(tf.mul(tf.square(gate), GELU_CUBE), 1));
      const open = tf.mul(tf.add(tf.tanh(tf.mul(cubic, GELU_SCALE)), 1), 0.5); // h = (1 + tanh u)/2
      return { value: tf.mul(tf.mul(gate, open), up), saved: [gate, open, up] };
    },
    (dy, [x, open, keptUp]) => {
      // gelu' = h + x·2h(1 - h)·u', u' = √(2/π)·(1 + 3·0.044715·x²)
      const inner = tf.mul(tf.add(tf.mul(tf.square(x), 3 * GELU_CUBE), 1), 2 * GELU_SCALE);
      const bend = tf.mul(tf.mul(x, inner), tf.mul(open, tf.sub(1, open)));
      return [tf.mul(tf.mul(dy, keptUp), tf.add(open, bend)), tf.mul(dy, tf.mul(x, open))];
    },
  );
}

/** A rotation of the halves of a head's first `width` features: (x1, x2) -> (x1·cos - x2·sin, x2·cos + x1·sin). */
export interface Rotary {
  cos: Tensor; // cosines twice: (cos, cos), then 1 for features that pass
  sin: Tensor; // sines with their signs: (-sin, sin), then 0
  width: number;
}

/** The rotary embedding of a whole batch, repeated for every head: plain elementwise products are much faster than broadcast ones. */
export interface RotaryTables {
  /** [B, H, T, hd], with the attention scale 1/sqrt(hd) in it. */
  q: Rotary;
  /** [B, Hkv, T, hd] */
  k: Rotary;
}

export interface AttentionShape {
  batch: number;
  time: number;
  heads: number;
  kvHeads: number;
  headDim: number;
}

/**
 * Softmax attention with rotary positions and grouped key/value heads.
 * q [B*T, H*hd], k and v [B*T, Hkv*hd], mask [B or 1, 1, T, T] added to the scores -> [B*T, H*hd].
 * Query head h reads key/value head floor(h / (H / Hkv)); 1/sqrt(hd) is in q's rotation.
 * The gradient of the softmax uses rowsum(dP∘P) = rowsum(dO∘O) (Dao et al. 2022, arXiv:2205.14135, Eq. 4): one pass less over [T, T].
 * With `keep` [B, H, T, T], 0 or 1/(1 - p), the weights after the softmax are multiplied by it, as transformers drops them out.
 */
export function attention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  rotary: RotaryTables,
  mask: Tensor,
  shape: AttentionShape,
  keep?: Tensor,
): Tensor {
  const tf = loadTf();
  const { batch, time, heads, kvHeads, headDim } = shape;
  const split = (x: Tensor, count: number) => tf.transpose(tf.reshape(x, [batch, time, count, headDim]), [0, 2, 1, 3]);
  const merge = (x: Tensor, count: number) =>
    tf.reshape(tf.transpose(x, [0, 2, 1, 3]), [batch * time, count * headDim]);
  // Query heads of one group are side by side, so a group is one tall matrix and keys are never repeated.
  const grouped = (x: Tensor) => tf.reshape(x, [batch, kvHeads, (heads / kvHeads) * time, x.shape[3] ?? 0]);
  const ungrouped = (x: Tensor) => tf.reshape(x, [batch, heads, time, x.shape[3] ?? 0]);
  return differentiable(
    [q, k, v],
    () => {
      const qh = rotate(split(q, heads), rotary.q); // [B, H, T, hd]
      const kh = rotate(split(k, kvHeads), rotary.k); // [B, Hkv, T, hd]
      const vh = split(v, kvHeads);
      const scores = tf.add(ungrouped(tf.matMul(grouped(qh), kh, false, true)), mask); // [B, H, T, T]
      const weights = tf.softmax(scores);
      const used = keep === undefined ? weights : tf.mul(weights, keep);
      const oh = ungrouped(tf.matMul(grouped(used), vh)); // [B, H, T, hd]
      const { q: ofQ, k: ofK } = rotary;
      return { value: merge(oh, heads), saved: [qh, kh, vh, weights, used, oh, ofQ.cos, ofQ.sin, ofK.cos, ofK.sin] };
    },
    (dy, [qh, kh, vh, weights, used, oh, qCos, qSin, kCos, kSin]) => {
      const dOut = split(dy, heads);
      const qTables = { ...rotary.q, cos: qCos, sin: qSin };
      const kTables = { ...rotary.k, cos: kCos, sin: kSin };
      const rowSum = tf.sum(tf.mul(dOut, oh), 3, true); // [B, H, T, 1]
      const dUsed = ungrouped(tf.matMul(grouped(dOut), vh, false, true)); // [B, H, T, T]
      // dP = keep∘dUsed, so P∘dP is used∘dUsed; without dropout both are the weights.
      const dScores = grouped(
        keep === undefined
          ? tf.mul(weights, tf.sub(dUsed, rowSum))
          : tf.sub(tf.mul(used, dUsed), tf.mul(weights, rowSum)),
      );
      const dq = rotateBack(ungrouped(tf.matMul(dScores, kh)), qTables);
      const dk = rotateBack(tf.matMul(dScores, grouped(qh), true), kTables);
      const dv = tf.matMul(grouped(used), grouped(dOut), true);
      return [merge(dq, heads), merge(dk, kvHeads), merge(dv, kvHeads)];
    },
  );
}

/** Swaps the two halves of the last axis' first `width` features: (x1, x2, rest) -> (x2, x1, rest). */
function swapHalves(x: Tensor, width: number): Tensor {
  const tf = loadTf();
  const all = x.shape[x.shape.length - 1] ?? 0;
  if (width < all) {
    const [x1, x2, rest] = tf.split(x, [width / 2, width / 2, all - width], -1) as [Tensor, Tensor, Tensor];
    return tf.concat([x2, x1, rest], -1);
  }
  const halves = tf.reshape(x, [...x.shape.slice(0, -1), 2, width / 2]);
  return tf.reshape(tf.reverse(halves, -2), x.shape);
}

/** Rotates the last axis; `rotateBack` is its gradient. For use inside a gradient written by hand. */
export function rotate(x: Tensor, { cos, sin, width }: Rotary): Tensor {
  const tf = loadTf();
  return tf.add(tf.mul(x, cos), tf.mul(swapHalves(x, width), sin));
}

/** The transpose of `rotate`; its inverse where nothing is scaled. */
export function rotateBack(dy: Tensor, { cos, sin, width }: Rotary): Tensor {
  const tf = loadTf();
  return tf.sub(tf.mul(dy, cos), tf.mul(swapHalves(dy, width), sin));
}
