import type { Activation, Architecture, LayerAttention, ModelConfig, Rope } from './architecture.js';
import type { JsonConfig } from './json-config.js';
import { readRope } from './rope.js';
import { type BlockNorms, linear, type ModelShape, type ModelTensor } from './tensor.js';

const EMBEDDING = 'model.embed_tokens.weight';
const HEAD = 'lm_head.weight';
const NO_BIAS = { qkv: false, output: false, mlp: false };

/** Norms before both parts of a block, as in Llama. */
const NORMS_BEFORE: BlockNorms = {
  beforeAttention: 'input_layernorm',
  afterAttention: null,
  beforeMlp: 'post_attention_layernorm',
  afterMlp: null,
  offset: 0,
};

/** A config.json as `parse` returns it, before `parseModelConfig` adds the family's name. */
type Parsed = Omit<ModelConfig, 'modelType'>;

/** What a family's transformers class takes for keys that config.json leaves out, and what it insists on. */
interface Defaults {
  kvHeads?: number;
  headDim?: number;
  maxPositions: number;
  theta?: number;
  rmsNormEps?: number;
  tieEmbeddings?: boolean;
  /** The key of the gated unit's activation and its default; absent: `hidden_act`, silu. */
  activation?: { key: string; missing: string };
  /** `hidden_size` is a multiple of the heads even where `head_dim` is given. */
  dividesHidden?: boolean;
}

/** What a family needs to know to say what its layers see. */
export interface LayerContext {
  layers: number;
  headDim: number;
  maxPositions: number;
  /** Reads the rotary constants that hold for all layers. */
  rope: () => Rope;
}

interface Decoder {
  modelType: string;
  className: string;
  defaults: Defaults;
  /** What each layer sees of positions. Absent: rotary positions and no window. */
  layerAttention?(config: JsonConfig, context: LayerContext): LayerAttention[];
  /** Where else the family computes otherwise than Llama: what it returns replaces Llama's. */
  differences?(config: JsonConfig, llama: Parsed): Partial<Parsed>;
}

/**
 * A family of decoders with gated MLPs, root-mean-square norms and rotary positions, as one description of how it differs from Llama.
 * Keys and their order of precedence are those of transformers 5.
 */
export function decoder(family: Decoder): Architecture {
  const { modelType, className } = family;
  return {
    modelType,
    className,
    embedding: EMBEDDING,
    head: HEAD,
    parse: (config) => {
      const parsed = parseLlama(config, family);
      return { ...parsed, ...family.differences?.(config, parsed) };
    },
    tensors,
  };
}

function parseLlama(config: JsonConfig, { defaults, layerAttention = sameInAll }: Decoder): Parsed {
  config.refuseUnless('attention_dropout', [0], 'asks for dropout of attention weights; only 0 is supported');
  config.refuseUnless('quantization_config', [], 'asks for quantised weights, which are not supported');
  const hiddenSize = config.size('hidden_size');
  const heads = config.size('num_attention_heads');
  const kvHeads = readKvHeads(config, heads, defaults.kvHeads ?? heads);
  const headDim = readHeadDim(config, hiddenSize, heads, defaults);
  const maxPositions = config.size('max_position_embeddings', defaults.maxPositions);
  const layers = config.size('num_hidden_layers');
  const rope = () => readRope(config, { theta: defaults.theta ?? 10_000, headDim, maxPositions });
  const { key, missing } = defaults.activation ?? { key: 'hidden_act', missing: 'silu' };
  return {
    vocabSize: config.size('vocab_size'),
    hiddenSize,
    intermediateSize: config.size('intermediate_size'),
    layers,
    heads,
    kvHeads,
    headDim,
    maxPositions,
    tieEmbeddings: config.flag('tie_word_embeddings', defaults.tieEmbeddings ?? false),
    biases: NO_BIAS,
    fused: false,
    qkNorm: null,
    norms: NORMS_BEFORE,
    rmsNormEps: config.positive('rms_norm_eps', defaults.rmsNormEps ?? 1e-6),
    activation: readActivation(config, key, missing),
    embeddingScale: 1,
    attentionScale: 1 / Math.sqrt(headDim),
    layerAttention: layerAttention(config, { layers, headDim, maxPositions, rope }),
  };
}

function sameInAll(_config: JsonConfig, { layers, rope }: LayerContext): LayerAttention[] {
  const layer = { rope: rope(), window: null };
  return Array.from({ length: layers }, () => layer);
}

/** `null` stands for as many as query heads, absent for the family's default, as in transformers. */
function readKvHeads(config: JsonConfig, heads: number, missing: number): number {
  const kvHeads = config.size('num_key_value_heads', config.states('num_key_value_heads') ? heads : missing);
  if (heads % kvHeads === 0) return kvHeads;
  throw config.refuse('num_key_value_heads', `makes ${kvHeads}, which does not divide num_attention_heads ${heads}`);
}

function readHeadDim(
  config: JsonConfig,
  hiddenSize: number,
  heads: number,
  { headDim: missing, dividesHidden = false }: Defaults,
): number {
  const isDerived = missing === undefined && !config.has('head_dim');
  if ((isDerived || dividesHidden) && hiddenSize % heads !== 0) {
    throw config.refuse('hidden_size', `is not a multiple of num_attention_heads ${heads}`);
  }
  const headDim = config.size('head_dim', missing ?? hiddenSize / heads);
  if (headDim % 2 === 0) return headDim;
  throw config.refuse('head_dim', `makes ${headDim}, which is odd; rotary embeddings need pairs`);
}

const ACTIVATIONS: Record<string, Activation> = {
  silu: 'silu',
  swish: 'silu',
  gelu_pytorch_tanh: 'gelu_tanh',
  gelu_new: 'gelu_tanh',
};

function readActivation(config: JsonConfig, key: string, missing: string): Activation {
  const found = ACTIVATIONS[config.text(key) ?? missing];
  if (found) return found;
  throw config.refuse(key, `is none of ${Object.keys(ACTIVATIONS).join(', ')}, the supported activations`);
}

/** Biases of `attention_bias` (queries, keys, values and output) and, where the family has it, of `mlp_bias`. */
export function readBiases(config: JsonConfig, { mlp }: { mlp: boolean }): ModelShape['biases'] {
  if (!mlp) refuseMlpBias(config);
  const attention = config.flag('attention_bias', false);
  return { qkv: attention, output: attention, mlp: mlp && config.flag('mlp_bias', false) };
}

/** Refuses a key that the family's class in transformers has no use for. */
export function refuseMlpBias(config: JsonConfig): void {
  config.refuseUnless('mlp_bias', [false], 'asks for an MLP with biases, which this family does not have');
}

function tensors(config: ModelShape): ModelTensor[] {
  const { vocabSize, hiddenSize, tieEmbeddings, norms } = config;
  const blocks = Array.from({ length: config.layers }, (_, layer) => blockTensors(config, `model.layers.${layer}`));
  return [
    { name: EMBEDDING, shape: [vocabSize, hiddenSize] },
    ...blocks.flat(),
    norm('model.norm', hiddenSize, norms),
    ...(tieEmbeddings ? [] : [{ name: HEAD, shape: [vocabSize, hiddenSize] }]),
  ];
}

function blockTensors(shape: ModelShape, path: string): ModelTensor[] {
  const { hiddenSize, intermediateSize, norms, biases, fused } = shape;
  const gateAndUp = fused
    ? layer(`${path}.mlp.gate_up_proj`, hiddenSize, 2 * intermediateSize, biases.mlp)
    : ['gate_proj', 'up_proj'].flatMap((name) =>
        layer(`${path}.mlp.${name}`, hiddenSize, intermediateSize, biases.mlp),
      );
  const between = (name: string | null) => (name === null ? [] : [norm(`${path}.${name}`, hiddenSize, norms)]);
  return [
    ...between(norms.beforeAttention),
    ...attentionTensors(shape, `${path}.self_attn`),
    ...between(norms.afterAttention),
    ...between(norms.beforeMlp),
    ...gateAndUp,
    ...layer(`${path}.mlp.down_proj`, intermediateSize, hiddenSize, biases.mlp),
    ...between(norms.afterMlp),
  ];
}

function attentionTensors(shape: ModelShape, path: string): ModelTensor[] {
  const { hiddenSize, heads, kvHeads, headDim, biases, fused, qkNorm, norms } = shape;
  const [q, kv] = [heads * headDim, kvHeads * headDim];
  const inputs = fused ? { qkv_proj: q + 2 * kv } : { q_proj: q, k_proj: kv, v_proj: kv };
  const qkNorms = (wide: number, narrow: number) => [
    norm(`${path}.q_norm`, wide, norms),
    norm(`${path}.k_norm`, narrow, norms),
  ];
  return [
    ...Object.entries(inputs).flatMap(([name, width]) => layer(`${path}.${name}`, hiddenSize, width, biases.qkv)),
    ...layer(`${path}.o_proj`, q, hiddenSize, biases.output),
    ...(qkNorm === 'head' ? qkNorms(headDim, headDim) : []),
    ...(qkNorm === 'projection' ? qkNorms(q, kv) : []),
  ];
}

const norm = (path: string, width: number, { offset }: BlockNorms): ModelTensor => ({
  name: `${path}.weight`,
  shape: [width],
  start: offset === 0 ? 1 : 0,
});

const layer = (path: string, inDim: number, outDim: number, hasBias: boolean): ModelTensor[] => [
  linear(path, inDim, outDim),
  ...(hasBias ? [{ name: `${path}.bias`, shape: [outDim], start: 0 as const }] : []),
];
