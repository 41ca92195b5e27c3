import type { ModelConfig, ModelShape } from '@moraine/contract/plan';
import { loadTf, type Scope, smallMatMul, type Tensor, type VariableSpec } from '@moraine/engine';
import { type Attend, attentionMask, byLayer, isPast, MASKED, rotaryTables } from '../model.js';
import { rotate } from '../ops.js';
import { type GenerationPlan, largest } from './plan.js';

/**
 * Keys (rotated) and values of every position so far, as variables `cache.<layer>.k` and `.v`, each [rows*Hkv*contextMax, hd]: one row of
 * numbers for each (row of the batch, key/value head, position), so that a token is a scatter of Hkv rows and a head's history is one
 * piece. What a row held before is never seen: a position is attended to only after this prompt or answer has written it.
 */
export function generationVariables(config: ModelShape, plan: GenerationPlan): Map<string, VariableSpec> {
  const shape = [largest(plan.batches) * config.kvHeads * plan.contextMax, config.headDim];
  const layers = Array.from({ length: config.layers }, (_, layer) => layer);
  return new Map(layers.flatMap((layer) => [keysOf(layer), valuesOf(layer)]).map((name) => [name, { shape }]));
}

const keysOf = (layer: number) => `cache.${layer}.k`;
const valuesOf = (layer: number) => `cache.${layer}.v`;

/**
 * Attention of whole prompts, B rows of T tokens from position 0, that leaves keys and values in the caches. `slots` int32 [B]: the row of
 * the caches that each prompt goes to.
 */
export function prefillAttention(
  config: ModelConfig,
  plan: GenerationPlan,
  scope: Scope,
  { batch, time, slots }: { batch: number; time: number; slots: Tensor },
): Attend {
  const tf = loadTf();
  const rotaryOf = byLayer(config, 'rope', (rope) => rotaryTables(config, rope, batch, time));
  const maskOf = byLayer(config, 'window', (window) => attentionMask(batch, time, undefined, window));
  const first = firstRows(config, plan, slots); // [B, Hkv]
  const steps = tf.range(0, time, 1, 'int32');
  const places = tf.reshape(tf.add(tf.expandDims(first, 2), steps), [batch * config.kvHeads * time]);
  const split = (x: Tensor, heads: number) =>
    tf.transpose(tf.reshape(x, [batch, time, heads, config.headDim]), [0, 2, 1, 3]);
  return (layer, q, k, v) => {
    const rotary = rotaryOf(layer);
    const qh = rotate(split(q, config.heads), rotary.q); // [B, H, T, hd]
    const kh = rotate(split(k, config.kvHeads), rotary.k); // [B, Hkv, T, hd]
    const vh = split(v, config.kvHeads);
    const rows = [batch * config.kvHeads * time, config.headDim];
    scope.scatterRows(keysOf(layer), places, tf.reshape(kh, rows));
    scope.scatterRows(valuesOf(layer), places, tf.reshape(vh, rows));
    const out = tf.transpose(attendAll(config, qh, kh, vh, maskOf(layer)), [0, 2, 1, 3]);
    return tf.reshape(out, [batch * time, config.heads * config.headDim]);
  };
}

/**
 * Attention of one new token a row to all that is in the caches up to it. `positions` int32 [B]: where each row's token is; its key
 * and value are written there. Row b of the batch is row b of the caches.
 */
export function decodeAttention(
  config: ModelConfig,
  plan: GenerationPlan,
  scope: Scope,
  { batch, positions }: { batch: number; positions: Tensor },
): Attend {
  const tf = loadTf();
  const { heads, kvHeads, headDim } = config;
  const { contextMax } = plan;
  const at = tf.reshape(positions, [batch, 1]);
  const rotaryOf = byLayer(config, 'rope', (rope) => rotaryTables(config, rope, batch, 1, at));
  const maskOf = byLayer(config, 'window', (window) => decodeMask(contextMax, at, window));
  const first = firstRows(config, plan, tf.range(0, batch, 1, 'int32'));
  const places = tf.reshape(tf.add(first, at), [batch * kvHeads]);
  const used = (cache: Tensor) => {
    const rows = batch * kvHeads * contextMax;
    const mine = rows === cache.shape[0] ? cache : tf.slice(cache, [0, 0], [rows, headDim]);
    return tf.reshape(mine, [batch, kvHeads, contextMax, headDim]);
  };
  return (layer, q, k, v) => {
    const rotary = rotaryOf(layer);
    const qh = rotate(tf.reshape(q, [batch, heads, 1, headDim]), rotary.q);
    const kh = rotate(tf.reshape(k, [batch, kvHeads, 1, headDim]), rotary.k);
    const rows = [batch * kvHeads, headDim];
    const keys = used(scope.scatterRows(keysOf(layer), places, tf.reshape(kh, rows)));
    const values = used(scope.scatterRows(valuesOf(layer), places, tf.reshape(v, rows)));
    return attendOne(config, qh, keys, values, maskOf(layer));
  };
}

/** 0 where the token at each row's place may look, -1e9 elsewhere: positions int32 [B, 1] -> [B, 1, 1, contextMax]. */
function decodeMask(contextMax: number, positions: Tensor, window: number | null): Tensor {
  const tf = loadTf();
  const keys = tf.range(0, contextMax, 1, 'int32');
  const queries = tf.reshape(positions, [-1, 1, 1, 1]);
  const future = tf.greater(keys, queries);
  const hidden = window === null || window >= contextMax ? future : tf.logicalOr(future, isPast(keys, queries, window));
  return tf.mul(tf.cast(hidden, 'float32'), MASKED);
}

/** The cache's row of position 0 of every key/value head: slots int32 [B] -> int32 [B, Hkv]. */
function firstRows({ kvHeads }: ModelShape, { contextMax }: GenerationPlan, slots: Tensor): Tensor {
  const tf = loadTf();
  const int = (value: number) => tf.scalar(value, 'int32');
  const heads = tf.add(tf.mul(tf.expandDims(slots, 1), int(kvHeads)), tf.range(0, kvHeads, 1, 'int32'));
  return tf.mul(heads, int(contextMax));
}

/** softmax(q·kᵀ + mask)·v: q [B, H, T, hd] with the scale in it, k and v [B, Hkv, S, hd], mask [B or 1, 1, T, S] -> [B, H, T, hd]. */
function attendAll({ heads, kvHeads }: ModelShape, q: Tensor, k: Tensor, v: Tensor, mask: Tensor): Tensor {
  const tf = loadTf();
  const [batch = 0, , time = 0, headDim = 0] = q.shape;
  const [, , span = 0] = k.shape;
  const tall = (heads / kvHeads) * time; // the queries of one group as one matrix
  const scores = tf.matMul(tf.reshape(q, [batch, kvHeads, tall, headDim]), k, false, true);
  const masked = tf.add(tf.reshape(scores, [batch, heads, time, span]), mask);
  const weights = tf.reshape(tf.softmax(masked), [batch, kvHeads, tall, span]);
  return tf.reshape(tf.matMul(weights, v), [batch, heads, time, headDim]);
}

/**
 * The same for one query a row, q [B, H, 1, hd] -> [B, H*hd]. The work is so small that tf.softmax and tf.matMul, which wait for every
 * thread, would take most of a token's time; the division by the sum comes last, where there are fewest numbers.
 */
function attendOne({ heads, kvHeads }: ModelShape, q: Tensor, k: Tensor, v: Tensor, mask: Tensor): Tensor {
  const tf = loadTf();
  const [batch = 0, , , headDim = 0] = q.shape;
  const scores = smallMatMul(tf.reshape(q, [batch, kvHeads, heads / kvHeads, headDim]), k, true); // [B, Hkv, H/Hkv, S]
  const masked = tf.add(scores, mask);
  const weights = tf.exp(tf.sub(masked, tf.max(masked, 3, true)));
  const out = tf.div(smallMatMul(weights, v), tf.sum(weights, 3, true)); // [B, Hkv, H/Hkv, hd]
  return tf.reshape(out, [batch, heads * headDim]);
}
