import { loadTf, type Tensor } from '@moraine/engine';
import type { AttentionShape, RotaryTables } from '../src/ops.js';

/** The operations of src/ops.ts once more, as textbooks write them, in plain tfjs: the gradient is then tfjs's own. */
const tf = loadTf();

export function plainRmsNorm(x: Tensor, weight: Tensor, eps: number): Tensor {
  return tf.mul(tf.div(x, tf.sqrt(tf.add(tf.mean(tf.mul(x, x), -1, true), eps))), weight);
}

export function plainSwiglu(gate: Tensor, up: Tensor): Tensor {
  return tf.mul(tf.div(gate, tf.add(1, tf.exp(tf.neg(gate)))), up);
}

export function plainGeglu(gate: Tensor, up: Tensor): Tensor {
  const inner = tf.mul(Math.sqrt(2 / Math.PI), tf.add(gate, tf.mul(0.044715, tf.pow(gate, 3))));
  return tf.mul(tf.mul(tf.mul(0.5, gate), tf.add(1, tf.tanh(inner))), up);
}

/** Repeats key/value heads, rotates halves by slicing, scales the scores: nothing shared with the fast version but its tables. */
export function plainAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  rotary: RotaryTables,
  mask: Tensor,
  s: AttentionShape,
  keep: Tensor = tf.scalar(1),
): Tensor {
  const heads = (x: Tensor, count: number) =>
    tf.transpose(tf.reshape(x, [s.batch, s.time, count, s.headDim]), [0, 2, 1, 3]);
  const owners = Array.from({ length: s.heads }, (_, head) => Math.floor(head / (s.heads / s.kvHeads)));
  const repeat = (x: Tensor) => tf.gather(x, tf.tensor1d(owners, 'int32'), 1);
  const [, positive] = tf.split(rotary.k.sin, 2, -1);
  const [cos] = tf.split(rotary.k.cos, 2, -1);
  const oneHead = (table: Tensor) => tf.slice(table, [0, 0, 0, 0], [1, 1, s.time, s.headDim / 2]);
  const rotate = (x: Tensor) => {
    const [a, b] = tf.split(x, 2, -1) as [Tensor, Tensor];
    const [sin, c] = [oneHead(positive as Tensor), oneHead(cos as Tensor)];
    return tf.concat([tf.sub(tf.mul(a, c), tf.mul(b, sin)), tf.add(tf.mul(b, c), tf.mul(a, sin))], -1);
  };
  const qh = rotate(heads(q, s.heads));
  const kh = repeat(rotate(heads(k, s.kvHeads)));
  const scores = tf.add(tf.div(tf.matMul(qh, kh, false, true), Math.sqrt(s.headDim)), mask);
  const out = tf.matMul(tf.mul(tf.softmax(scores), keep), repeat(heads(v, s.kvHeads)));
  return tf.reshape(tf.transpose(out, [0, 2, 1, 3]), [s.batch * s.time, s.heads * s.headDim]);
}

export function plainCrossEntropySum(logits: Tensor, targets: Tensor, weights: Tensor): Tensor {
  const chosen = tf.sum(tf.mul(tf.logSoftmax(logits), tf.oneHot(targets as never, logits.shape[1] ?? 0)), 1);
  return tf.neg(tf.sum(tf.mul(chosen, weights)));
}
