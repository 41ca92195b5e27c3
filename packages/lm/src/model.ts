import type { ModelConfig } from '@moraine/contract/plan';
import { loadTf, type Tensor } from '@moraine/engine';
import type { Net } from './net.js';
import { attention, type Rotary, type RotaryTables, rmsNorm, swiglu } from './ops.js';

/**
 * A Llama-family decoder (Touvron et al. 2023, arXiv:2302.13971), read top to bottom: embedding, blocks of attention and gated MLP with
 * root-mean-square norms before each, a final norm, a head. Names are Hugging Face's.
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
  const rotary = rotaryTables(config, batch, time, input.positions);
  const mask = attentionMask(batch, time, input.segments);
  const shape = { batch, time, heads: config.heads, kvHeads: config.kvHeads, headDim: config.headDim };
  const ids = loadTf().reshape(input.ids, [batch * time]);
  return decoderStates(net, config, ids, (_layer, q, k, v) => attention(q, k, v, rotary, mask, shape));
}

/** The blocks and the final norm with the attention that is given, which may look into a cache: ids int32 [N] -> [N, C]. */
export function decoderStates(net: Net, config: ModelConfig, ids: Tensor, attend: Attend): Tensor {
  const tf = loadTf();
  let x = net.gather('model.embed_tokens', ids); // [N, C]
  for (let layer = 0; layer < config.layers; layer++) {
    const path = `model.layers.${layer}`;
    x = tf.add(
      x,
      attentionBlock(net, `${path}.self_attn`, norm(net, config, `${path}.input_layernorm`, x), layer, attend),
    );
    x = tf.add(x, gatedMlp(net, `${path}.mlp`, norm(net, config, `${path}.post_attention_layernorm`, x)));
  }
  return norm(net, config, 'model.norm', x); // [N, C]
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

function norm(net: Net, config: ModelConfig, path: string, x: Tensor): Tensor {
  const name = `${path}.weight`;
  return rmsNorm(x, net.get(name), config.rmsNormEps, net.trains(name));
}

function attentionBlock(net: Net, path: string, x: Tensor, layer: number, attend: Attend): Tensor {
  const paths = [`${path}.q_proj`, `${path}.k_proj`, `${path}.v_proj`];
  const [q, k, v] = net.linears(paths, x) as [Tensor, Tensor, Tensor]; // [N, H*hd], [N, Hkv*hd] twice
  return net.linear(`${path}.o_proj`, attend(layer, q, k, v)); // [N, C]
}

function gatedMlp(net: Net, path: string, x: Tensor): Tensor {
  const [gate, up] = net.linears([`${path}.gate_proj`, `${path}.up_proj`], x) as [Tensor, Tensor]; // [N, F] twice
  return net.linear(`${path}.down_proj`, swiglu(gate, up)); // [N, C]
}

/** Far below any score, far above the float32 limit: a masked weight is exactly 0 after the softmax. */
export const MASKED = -1e9;

/** 0 where a query may look (its own document, not the future), -1e9 elsewhere: [B or 1, 1, T, T]. */
export function attentionMask(batch: number, time: number, segments: Tensor | undefined): Tensor {
  const tf = loadTf();
  const steps = tf.range(0, time, 1, 'int32');
  const future = tf.greater(tf.reshape(steps, [1, 1, 1, time]), tf.reshape(steps, [1, 1, time, 1])); // [1, 1, T, T]
  if (segments === undefined) return tf.mul(tf.cast(future, 'float32'), MASKED);
  const other = tf.notEqual(tf.reshape(segments, [batch, 1, time, 1]), tf.reshape(segments, [batch, 1, 1, time]));
  return tf.mul(tf.cast(tf.logicalOr(other, future), 'float32'), MASKED); // [B, 1, T, T]
}

/** Rotary tables for positions 0 … T-1 or the given ones (int32 [B, T]), for every head of queries and of keys. */
export function rotaryTables(config: ModelConfig, batch: number, time: number, positions?: Tensor): RotaryTables {
  const tf = loadTf();
  const { headDim } = config;
  const inverse = tf.tensor2d(inverseFrequencies(config), [1, headDim / 2]);
  const steps = positions ?? tf.range(0, time, 1, 'int32');
  const rows = positions === undefined ? 1 : batch;
  const angles = tf.mul(tf.reshape(tf.cast(steps, 'float32'), [rows * time, 1]), inverse); // [rows*T, hd/2]
  const [cos, sin] = [tf.cos(angles), tf.sin(angles)];
  const repeated = (halves: Tensor[], heads: number, scale: number) => {
    const table = tf.reshape(tf.concat(halves, 1), [rows, 1, time, headDim]);
    return tf.mul(table, tf.fill([batch, heads, 1, 1], scale)); // [B, heads, T, hd]
  };
  const tables = (heads: number, scale: number): Rotary => ({
    cos: repeated([cos, cos], heads, scale),
    sin: repeated([tf.neg(sin), sin], heads, scale),
  });
  return { q: tables(config.heads, 1 / Math.sqrt(headDim)), k: tables(config.kvHeads, 1) };
}

/**
 * Inverse frequencies theta^(-2t/hd), t = 0 … hd/2-1 (Su et al. 2021, arXiv:2104.09864, §3.2.2), slowed for long wavelengths when the
 * config asks for Llama 3.1's scaling (between the two wavelength limits the two are blended linearly).
 */
export function inverseFrequencies({ headDim, ropeTheta, ropeScaling }: ModelConfig): Float32Array {
  const plain = Float32Array.from({ length: headDim / 2 }, (_, t) => ropeTheta ** ((-2 * t) / headDim));
  if (ropeScaling === null) return plain;
  const { factor, lowFreqFactor, highFreqFactor, originalMaxPositions } = ropeScaling;
  return plain.map((frequency) => {
    const turns = (originalMaxPositions * frequency) / (2 * Math.PI); // rotations within the original context
    const keep = Math.min(1, Math.max(0, (turns - lowFreqFactor) / (highFreqFactor - lowFreqFactor)));
    return keep * frequency + (1 - keep) * (frequency / factor);
  });
}
