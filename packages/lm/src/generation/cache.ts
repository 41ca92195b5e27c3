import type { ModelConfig, ModelShape } from '@moraine/contract/plan';
import {
  type Feed,
  gatherRows,
  loadTf,
  type Scope,
  type Signature,
  signature,
  smallMatMul,
  type Tensor,
  type VariableSpec,
} from '@moraine/engine';
import { type Attend, attentionMask, byLayer, isPast, MASKED, rotaryTables } from '../model.js';
import { rotate } from '../ops.js';
import { CLEAR_ROW, copyName, type GenerationPlan, largest } from './plan.js';

/**
 * Keys (rotated) and values of every position so far, as variables `cache.<layer>.k` and `.v`, each [rows*Hkv*contextMax, hd]: one row of
 * numbers for each (row of the batch, key/value head, position), so that a token is a scatter of Hkv rows and a head's history is one
 * piece. What a row held before is never seen: a position is attended to only after this prompt or answer has written it. No token is at the last position:
 * an answer ends there. It takes what is written for nobody, by padding and by rows that do not answer.
 */
export function generationVariables(config: ModelShape, plan: GenerationPlan): Map<string, VariableSpec> {
  const shape = [largest(plan.batches) * config.kvHeads * plan.contextMax, config.headDim];
  const layers = Array.from({ length: config.layers }, (_, layer) => layer);
  return new Map(layers.flatMap((layer) => [keysOf(layer), valuesOf(layer)]).map((name) => [name, { shape }]));
}

const keysOf = (layer: number) => `cache.${layer}.k`;
const valuesOf = (layer: number) => `cache.${layer}.v`;

/**
 * - `rows/copy/<S>`, under a plan with spans: `from` and `to` int32 [1] -> the first S places of a row of the caches written over those of another.
 * - `rows/clear`: `row` int32 [1] -> zeros in a row. A place that is not looked at has a weight of zero, but zero times what is no number is none either.
 */
export function cacheSignatures(config: ModelShape, plan: GenerationPlan): Record<string, Signature> {
  const tf = loadTf();
  const names = [...generationVariables(config, plan).keys()];
  const signatures: Record<string, Signature> = {};
  const places = (row: Tensor, span: number) =>
    tf.reshape(placesOf(firstRows(config, plan, row), tf.range(0, span, 1, 'int32')), [
      config.kvHeads * span,
    ]) as Tensor;
  signatures[CLEAR_ROW] = signature({
    isCompiled: false,
    feeds: { row: ONE },
    build: ({ row }, scope) => {
      const all = places(row, plan.contextMax);
      const zeros = tf.fill([config.kvHeads * plan.contextMax, config.headDim], 0) as Tensor;
      for (const name of names) scope.scatterRows(name, all, zeros);
      return {};
    },
  });
  for (const span of plan.spans ?? [])
    signatures[copyName(span)] = signature({
      isCompiled: false,
      feeds: { from: ONE, to: ONE },
      build: ({ from, to }, scope) => {
        const [source, target] = [places(from, span), places(to, span)];
        for (const name of names) scope.copyRows(name, source, target);
        return {};
      },
    });
  return signatures;
}

const ONE: Feed = { shape: [1], dtype: 'int32' };

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
  const places = tf.reshape(placesOf(first, tf.range(0, time, 1, 'int32')), [batch * config.kvHeads * time]);
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
 * Attention of T tokens of one prompt to what is in the cache's row `slot` up to each of them; their keys and values are written there. `start` int32 [1]: where
 * the first one is. They end within the first `span` places.
 */
export function extendAttention(
  config: ModelConfig,
  plan: GenerationPlan,
  scope: Scope,
  { time, span, slot, start }: { time: number; span: number; slot: Tensor; start: Tensor },
): Attend {
  const tf = loadTf();
  const { heads, kvHeads, headDim } = config;
  const at = tf.add(start, tf.range(0, time, 1, 'int32')) as Tensor; // [T]
  const rotaryOf = byLayer(config, 'rope', (rope) => rotaryTables(config, rope, 1, time, tf.reshape(at, [1, time])));
  const maskOf = byLayer(config, 'window', (window) => spanMask(span, tf.reshape(at, [1, 1, time, 1]), window));
  const first = firstRows(config, plan, slot);
  const padding = tf.scalar(plan.contextMax - 1, 'int32');
  const written = tf.reshape(placesOf(first, tf.minimum(at, padding) as Tensor), [kvHeads * time]) as Tensor;
  const read = placesOf(first, tf.range(0, span, 1, 'int32')); // [1, Hkv, S]
  const split = (x: Tensor, count: number) =>
    tf.transpose(tf.reshape(x, [1, time, count, headDim]), [0, 2, 1, 3]) as Tensor;
  /** Writes [1, Hkv, T, hd] and gives the row's span [1, Hkv, S, hd]. */
  const through = (name: string, x: Tensor) => {
    const all = scope.scatterRows(name, written, tf.reshape(x, [kvHeads * time, headDim]));
    return gatherRows(all, read);
  };
  return (layer, q, k, v) => {
    const rotary = rotaryOf(layer);
    const qh = rotate(split(q, heads), rotary.q); // [1, H, T, hd]
    const keys = through(keysOf(layer), rotate(split(k, kvHeads), rotary.k));
    const values = through(valuesOf(layer), split(v, kvHeads));
    const out = tf.transpose(attendAll(config, qh, keys, values, maskOf(layer)), [0, 2, 1, 3]);
    return tf.reshape(out, [time, heads * headDim]);
  };
}

/**
 * Attention of one new token a row to all that is in the caches up to it, within the first `span` places. `positions` int32 [B]: where each row's token is; its
 * key and value are written there. `slots` int32 [B]: the rows of the caches; absent: all, in order.
 */
export function decodeAttention(
  config: ModelConfig,
  plan: GenerationPlan,
  scope: Scope,
  { batch, span, positions, slots }: { batch: number; span: number; positions: Tensor; slots?: Tensor | undefined },
): Attend {
  const tf = loadTf();
  const { heads, kvHeads, headDim } = config;
  const { contextMax } = plan;
  const at = tf.reshape(positions, [batch, 1]);
  const rotaryOf = byLayer(config, 'rope', (rope) => rotaryTables(config, rope, batch, 1, at));
  const maskOf = byLayer(config, 'window', (window) => spanMask(span, tf.reshape(positions, [batch, 1, 1, 1]), window));
  const first = firstRows(config, plan, slots ?? tf.range(0, batch, 1, 'int32'));
  const places = tf.reshape(tf.add(first, at), [batch * kvHeads]);
  const read = slots === undefined ? null : placesOf(first, tf.range(0, span, 1, 'int32')); // [B, Hkv, S]
  const used = (cache: Tensor): Tensor => {
    if (read !== null) return gatherRows(cache, read); // [B, Hkv, S, hd]
    const byHead = tf.reshape(cache, [batch, kvHeads, contextMax, headDim]);
    return span === contextMax ? byHead : tf.slice(byHead, [0, 0, 0, 0], [batch, kvHeads, span, headDim]);
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

/** 0 where a token at each place may look among the first `span`, -1e9 elsewhere: places int32 [B, 1, T, 1] -> [B, 1, T, S]. */
function spanMask(span: number, places: Tensor, window: number | null): Tensor {
  const tf = loadTf();
  const keys = tf.range(0, span, 1, 'int32');
  const future = tf.greater(keys, places);
  const hidden = window === null || window >= span ? future : tf.logicalOr(future, isPast(keys, places, window));
  return tf.mul(tf.cast(hidden, 'float32'), MASKED);
}

/** The cache's row of position 0 of every key/value head: slots int32 [B] -> int32 [B, Hkv]. */
function firstRows({ kvHeads }: ModelShape, { contextMax }: GenerationPlan, slots: Tensor): Tensor {
  const tf = loadTf();
  const int = (value: number) => tf.scalar(value, 'int32');
  const heads = tf.add(tf.mul(tf.expandDims(slots, 1), int(kvHeads)), tf.range(0, kvHeads, 1, 'int32'));
  return tf.mul(heads, int(contextMax));
}

/** The cache's rows of positions int32 [T] of heads whose rows begin at `first` int32 [B, Hkv]: [B, Hkv, T]. */
const placesOf = (first: Tensor, positions: Tensor): Tensor => loadTf().add(loadTf().expandDims(first, 2), positions);

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
