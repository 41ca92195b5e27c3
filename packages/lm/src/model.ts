import type { LayerAttention, ModelConfig, Rope } from '@moraine/contract/plan';
import { invariant, loadTf, type Tensor } from '@moraine/engine';
import type { Net } from './net.js';
import { addBias, at, attention, gatedUnit, type Rotary, type RotaryTables, rmsNorm } from './ops.js';

/**
 * A decoder of the Llama kind (Touvron et al. 2023, arXiv:2302.13971), read top to bottom: embedding, blocks of attention and gated MLP,
 * a final norm, a head. Where families differ the configuration says so: norms before a part, after it or both, norms of queries and
 * keys, biases, the activation, scales, and what each layer sees of positions. Names are Hugging Face's.
 */
export interface ModelInput {
  /** Token ids, int32 [B, T]. */
  ids: Tensor;
  /** Document numbers, int32 [B, T]: attention stays among equal numbers of a row. Absent: every row is one document. */
  segments?: Tensor | undefined;
  /** Rotary positions, int32 [B, T]. Absent: 0 … T-1; packed documents need none, as only differences of positions matter. */
  positions?: Tensor | undefined;
}

/** What mixes positions in block `layer`: q [N, H*hd], k and v [N, Hkv*hd] -> [N, H*hd]. Everything else works on each position alone. */
export type Attend = (layer: number, q: Tensor, k: Tensor, v: Tensor) => Tensor;

/** Everything up to the final norm: input -> [B*T, C]. */
export function hiddenStates(net: Net, config: ModelConfig, input: ModelInput): Tensor {
  const [batch = 0, time = 0] = input.ids.shape;
  const shape = { batch, time, heads: config.heads, kvHeads: config.kvHeads, headDim: config.headDim };
  const rotaryOf = byLayer(config, 'rope', (rope) => rotaryTables(config, rope, batch, time, input.positions));
  const maskOf = byLayer(config, 'window', (window) => attentionMask(batch, time, input.segments, window));
  const ids = loadTf().reshape(input.ids, [batch * time]);
  const grid = [batch, config.heads, time, time];
  return decoderStates(net, config, ids, (layer, q, k, v) =>
    attention(q, k, v, rotaryOf(layer), maskOf(layer), shape, net.attentionKeep(layer, grid)),
  );
}

/** The blocks and the final norm with the attention that is given, which may look into a cache: ids int32 [N] -> [N, C]. */
export function decoderStates(net: Net, config: ModelConfig, ids: Tensor, attend: Attend): Tensor {
  const tf = loadTf();
  const { layers, norms, embeddingScale } = config;
  const normed = (layer: number, name: string | null, x: Tensor) =>
    name === null ? x : norm(net, config, `model.layers.${layer}.${name}`, x);
  let x = net.gather('model.embed_tokens', ids); // [N, C]
  if (embeddingScale !== 1) x = tf.mul(x, embeddingScale);
  for (let layer = 0; layer < layers; layer++) {
    const attended = attentionBlock(net, config, layer, normed(layer, norms.beforeAttention, x), attend);
    x = tf.add(x, normed(layer, norms.afterAttention, attended));
    const mapped = gatedMlp(net, config, layer, normed(layer, norms.beforeMlp, x));
    x = tf.add(x, normed(layer, norms.afterMlp, mapped));
  }
  return norm(net, config, 'model.norm', x); // [N, C]
}

/** What `make` returns for each layer's rotary constants or window; layers with the same share it. */
export function byLayer<K extends keyof LayerAttention, T>(
  { layerAttention }: ModelConfig,
  key: K,
  make: (value: LayerAttention[K]) => T,
): (layer: number) => T {
  const made = new Map<string, T>();
  const all = layerAttention.map(({ [key]: value }) => {
    const name = JSON.stringify(value);
    const one = made.get(name) ?? make(value);
    made.set(name, one);
    return one;
  });
  return (layer) => {
    const one = all[layer];
    invariant(one !== undefined, `layer ${layer} of ${all.length}`);
    return one;
  };
}

const headPath = (config: ModelConfig): string => (config.tieEmbeddings ? 'model.embed_tokens' : 'lm_head');

/** Name of the head's weight [V, C], which is the embedding where they are tied. */
export const headName = (config: ModelConfig): string => `${headPath(config)}.weight`;

/** Scores of every token of the vocabulary: hidden [N, C] -> [N, V]. */
export function headLogits(net: Net, config: ModelConfig, hidden: Tensor): Tensor {
  return net.linear(headPath(config), hidden);
}

/** Logits of every position: input -> [B*T, V]. Training and evaluation use hiddenStates and the supervised rows only. */
export function forward(net: Net, config: ModelConfig, input: ModelInput): Tensor {
  return headLogits(net, config, hiddenStates(net, config, input));
}

/** Over the last axis, or over pieces of it that are as wide as the weight: x [N, C], weight [C or a part of it] -> [N, C]. */
function norm(net: Net, { rmsNormEps, norms }: ModelConfig, path: string, x: Tensor): Tensor {
  const tf = loadTf();
  const name = `${path}.weight`;
  const stored = net.get(name);
  const weight = norms.offset === 0 ? stored : tf.add(stored, norms.offset);
  const width = weight.shape[0] ?? 0;
  if (x.shape[1] === width) return rmsNorm(x, weight, rmsNormEps, net.trains(name));
  return tf.reshape(rmsNorm(tf.reshape(x, [-1, width]), weight, rmsNormEps, net.trains(name)), x.shape);
}

function attentionBlock(net: Net, config: ModelConfig, layer: number, x: Tensor, attend: Attend): Tensor {
  const { biases, fused, heads, kvHeads, headDim, qkNorm } = config;
  const path = `model.layers.${layer}.self_attn`;
  const paths = (fused ? ['qkv_proj'] : ['q_proj', 'k_proj', 'v_proj']).map((name) => `${path}.${name}`);
  const made = biased(net, paths, net.linears(paths, x), biases.qkv);
  const widths = [heads * headDim, kvHeads * headDim, kvHeads * headDim];
  const [q, k, v] = (fused ? loadTf().split(at(made, 0), widths, 1) : made) as [Tensor, Tensor, Tensor]; // [N, H*hd], [N, Hkv*hd] twice
  const normed = (name: string, y: Tensor) => (qkNorm === null ? y : norm(net, config, `${path}.${name}`, y));
  const mixed = attend(layer, normed('q_norm', q), normed('k_norm', k), v);
  return project(net, `${path}.o_proj`, mixed, biases.output); // [N, C]
}

function gatedMlp(net: Net, config: ModelConfig, layer: number, x: Tensor): Tensor {
  const { activation, biases, fused, intermediateSize } = config;
  const path = `model.layers.${layer}.mlp`;
  const paths = (fused ? ['gate_up_proj'] : ['gate_proj', 'up_proj']).map((name) => `${path}.${name}`);
  const made = biased(net, paths, net.linears(paths, x), biases.mlp);
  const widths = [intermediateSize, intermediateSize];
  const [gate, up] = (fused ? loadTf().split(at(made, 0), widths, 1) : made) as [Tensor, Tensor]; // [N, F] twice
  return project(net, `${path}.down_proj`, gatedUnit(activation, gate, up), biases.mlp); // [N, C]
}

function project(net: Net, path: string, x: Tensor, hasBias: boolean): Tensor {
  return at(biased(net, [path], [net.linear(path, x)], hasBias), 0);
}

/** Adds the layers' biases, where they have them, to what the matrices and a method made. */
function biased(net: Net, paths: readonly string[], outputs: Tensor[], hasBias: boolean): Tensor[] {
  if (!hasBias) return outputs;
  return outputs.map((y, i) => addBias(y, net.get(`${paths[i]}.bias`), net.trains(`${paths[i]}.bias`)));
}

/** Far below any score, far above the float32 limit: a masked weight is exactly 0 after the softmax. */
export const MASKED = -1e9;

/** 0 where a query may look (its own document and window, not the future), -1e9 elsewhere: [B or 1, 1, T, T]. */
export function attentionMask(
  batch: number,
  time: number,
  segments: Tensor | undefined,
  window: number | null,
): Tensor {
  const tf = loadTf();
  const steps = tf.range(0, time, 1, 'int32');
  const [keys, queries] = [tf.reshape(steps, [1, 1, 1, time]), tf.reshape(steps, [1, 1, time, 1])];
  let hidden = tf.greater(keys, queries); // [1, 1, T, T], the future
  if (window !== null && window < time) hidden = tf.logicalOr(hidden, isPast(keys, queries, window));
  if (segments === undefined) return tf.mul(tf.cast(hidden, 'float32'), MASKED);
  const other = tf.notEqual(tf.reshape(segments, [batch, 1, time, 1]), tf.reshape(segments, [batch, 1, 1, time]));
  return tf.mul(tf.cast(tf.logicalOr(other, hidden), 'float32'), MASKED); // [B, 1, T, T]
}

/** Where a key's position is before the window of a query's, int32 of shapes that broadcast -> bool. */
export function isPast(keys: Tensor, queries: Tensor, window: number): Tensor {
  const tf = loadTf();
  return tf.greaterEqual(tf.sub(queries, keys), tf.scalar(window, 'int32'));
}

/** What of a configuration rotary tables are made from. */
type RotaryShape = Pick<ModelConfig, 'heads' | 'kvHeads' | 'headDim' | 'attentionScale'>;

/** Rotary tables for positions 0 … T-1 or the given ones (int32 [B, T]), for every head of queries and of keys. */
export function rotaryTables(
  { heads, kvHeads, headDim, attentionScale }: RotaryShape,
  rope: Rope | null,
  batch: number,
  time: number,
  positions?: Tensor,
): RotaryTables {
  const tf = loadTf();
  const width = rope?.width ?? headDim;
  const inverse = tf.tensor2d(inverseFrequencies(width, rope), [1, width / 2]);
  const steps = positions ?? tf.range(0, time, 1, 'int32');
  const rows = positions === undefined ? 1 : batch;
  const angles = tf.mul(tf.reshape(tf.cast(steps, 'float32'), [rows * time, 1]), inverse); // [rows*T, hd/2]
  const magnitude = rope?.scaling?.kind === 'longrope' ? rope.scaling.magnitude : 1;
  const [cos, sin] = [tf.cos(angles), tf.sin(angles)].map((table) =>
    magnitude === 1 ? table : tf.mul(table, magnitude),
  ) as [Tensor, Tensor];
  /** What the features that pass are multiplied by comes after the halves. */
  const repeated = (halves: Tensor[], pass: 0 | 1, count: number, scale: number) => {
    const passing = width === headDim ? [] : [tf.fill([rows * time, headDim - width], pass) as Tensor];
    const table = tf.reshape(tf.concat([...halves, ...passing], 1), [rows, 1, time, headDim]);
    return tf.mul(table, tf.fill([batch, count, 1, 1], scale)); // [B, heads, T, hd]
  };
  const tables = (count: number, scale: number): Rotary => ({
    cos: repeated([cos, cos], 1, count, scale),
    sin: repeated([tf.neg(sin), sin], 0, count, scale),
    width,
  });
  return { q: tables(heads, attentionScale), k: tables(kvHeads, 1) };
}

/**
 * Inverse frequencies theta^(-2t/width), t = 0 … width/2-1 (Su et al. 2021, arXiv:2104.09864, §3.2.2). Linear scaling divides all of them,
 * LongRoPE each by a number of its own; Llama 3.1's slows the long wavelengths and blends linearly between its two limits. Without rotary
 * positions they are 0: no rotation.
 */
export function inverseFrequencies(width: number, rope: Rope | null): Float32Array {
  if (rope === null) return new Float32Array(width / 2);
  const { theta, scaling } = rope;
  const plain = Float32Array.from({ length: width / 2 }, (_, t) => theta ** ((-2 * t) / width));
  if (scaling === null) return plain;
  if (scaling.kind === 'longrope') return plain.map((frequency, t) => frequency / (scaling.factors[t] ?? 1));
  if (scaling.kind === 'linear') return plain.map((frequency) => frequency / scaling.factor);
  const { factor, lowFreqFactor, highFreqFactor, originalMaxPositions } = scaling;
  return plain.map((frequency) => {
    const turns = (originalMaxPositions * frequency) / (2 * Math.PI); // rotations within the original context
    const keep = Math.min(1, Math.max(0, (turns - lowFreqFactor) / (highFreqFactor - lowFreqFactor)));
    return keep * frequency + (1 - keep) * (frequency / factor);
  });
}
