import { AppError } from '@moraine/contract';
import type { ModelConfig, Rope } from '@moraine/contract/plan';
import { type HostTensor, inverseFrequencies } from '@moraine/lm';
import type { GgufDtype, GgufMetadata, GgufValue } from './format.js';

/** How llama.cpp calls a family and what it can do of it. */
interface Family {
  arch: string;
  /** Rotary pairs are neighbours there, so rows of queries and keys change places; elsewhere halves, as here. */
  pairsNeighbours: boolean;
  /** Why it would compute otherwise; null where it does not. */
  problem(config: ModelConfig): string | null;
}

const FAMILIES: Readonly<Record<string, Family>> = {
  llama: { arch: 'llama', pairsNeighbours: true, problem: windowed },
  mistral: { arch: 'llama', pairsNeighbours: true, problem: windowed },
  smollm3: {
    arch: 'smollm3',
    pairsNeighbours: true,
    problem: (config) => windowed(config) ?? otherThanFourth(config) ?? scaled(config) ?? biased(config),
  },
  qwen2: { arch: 'qwen2', pairsNeighbours: false, problem: (config) => windowed(config) ?? scaled(config) },
  qwen3: {
    arch: 'qwen3',
    pairsNeighbours: false,
    problem: (config) => windowed(config) ?? scaled(config) ?? biased(config),
  },
  olmo2: {
    arch: 'olmo2',
    pairsNeighbours: false,
    problem: (config) => windowed(config) ?? scaled(config) ?? biased(config),
  },
  phi3: { arch: 'phi3', pairsNeighbours: false, problem: (config) => windowed(config) ?? scaled(config) },
  gemma3_text: { arch: 'gemma3', pairsNeighbours: false, problem: (config) => biased(config) ?? otherGemma(config) },
};

/** The family as llama.cpp has it. @throws AppError `unsupported_format` with what it does not compute. */
export function familyOf(config: ModelConfig): Family {
  const family = FAMILIES[config.modelType];
  const problem = family === undefined ? `its family ${config.modelType} is not written` : family.problem(config);
  if (family !== undefined && problem === null) return family;
  throw new AppError('unsupported_format', `The model has no GGUF form that llama.cpp computes as it is: ${problem}.`, {
    param: 'format',
    hint: `Take the merged model. GGUF is written of ${Object.keys(FAMILIES).join(', ')}.`,
  });
}

function windowed({ layerAttention, maxPositions }: ModelConfig): string | null {
  const window = layerAttention.find((layer) => (layer.window ?? maxPositions) < maxPositions)?.window;
  return window === undefined ? null : `layers see ${window} positions, and llama.cpp has no window in this family`;
}

function scaled(config: ModelConfig): string | null {
  const kind = ropeOf(config).scaling?.kind;
  if (kind === 'longrope') return 'LongRoPE, which holds for the original context alone here';
  return kind === 'llama3' ? 'llama.cpp scales rotary frequencies as Llama 3.1 does in the family llama alone' : null;
}

function biased({ biases }: ModelConfig): string | null {
  return biases.qkv || biases.output || biases.mlp
    ? 'its layers have biases, which llama.cpp does not add in this family'
    : null;
}

function otherThanFourth({ layerAttention }: ModelConfig): string | null {
  const layer = layerAttention.findIndex(({ rope }, i) => (rope === null) !== ((i + 1) % 4 === 0));
  return layer < 0
    ? null
    : `layer ${layer} ${layerAttention[layer]?.rope ? 'rotates' : 'does not rotate'} positions, and llama.cpp leaves every fourth one without`;
}

/** What llama.cpp fixes for Gemma 3: five layers with a window to one without, theta 10,000 in them, and scores by the root of the head's width. */
function otherGemma({ layerAttention, attentionScale, headDim }: ModelConfig): string | null {
  const layer = layerAttention.findIndex(({ window, rope }, i) => {
    const isLocal = (i + 1) % 6 !== 0;
    return isLocal !== (window !== null) || (isLocal && (rope?.theta !== 10_000 || rope.scaling !== null));
  });
  if (layer >= 0) return `layer ${layer} has another window or rotary base than llama.cpp gives it`;
  const isScaled = Math.abs(attentionScale * Math.sqrt(headDim) - 1) > 1e-6;
  if (isScaled) return 'query_pre_attn_scalar is not head_dim, by which llama.cpp scales scores';
  return layerAttention.find(({ window }) => window === null)?.rope?.scaling?.kind === 'llama3'
    ? 'its rotary scaling is that of Llama 3.1'
    : null;
}

/** Rotary constants of the layers without a window, or of all where all have one. */
function ropeOf({ layerAttention, headDim }: ModelConfig): Rope {
  const wide = layerAttention.find(({ window, rope }) => window === null && rope !== null);
  return (
    wide?.rope ??
    layerAttention.find(({ rope }) => rope !== null)?.rope ?? { theta: 10_000, width: headDim, scaling: null }
  );
}

/** What llama.cpp reads of a model's sizes and constants. */
export function modelMetadata(name: string, config: ModelConfig, dtype: GgufDtype = 'F16'): GgufMetadata {
  const { arch } = familyOf(config);
  const rope = ropeOf(config);
  const window =
    arch === 'gemma3' ? (config.layerAttention.find((layer) => layer.window !== null)?.window ?? null) : null;
  const u32 = (value: number): GgufValue => ({ type: 'u32', value });
  const f32 = (value: number): GgufValue => ({ type: 'f32', value });
  const own: [string, GgufValue][] = [
    ['vocab_size', u32(config.vocabSize)],
    ['context_length', u32(config.maxPositions)],
    ['embedding_length', u32(config.hiddenSize)],
    ['block_count', u32(config.layers)],
    ['feed_forward_length', u32(config.intermediateSize)],
    ['attention.head_count', u32(config.heads)],
    ['attention.head_count_kv', u32(config.kvHeads)],
    ['attention.key_length', u32(config.headDim)],
    ['attention.value_length', u32(config.headDim)],
    ['attention.layer_norm_rms_epsilon', f32(config.rmsNormEps)],
    ...(window === null ? [] : [['attention.sliding_window', u32(window)] as [string, GgufValue]]),
    ['rope.dimension_count', u32(rope.width)],
    ['rope.freq_base', f32(rope.theta)],
  ];
  if (rope.scaling?.kind === 'linear')
    own.push(
      ['rope.scaling.type', { type: 'string', value: 'linear' }],
      ['rope.scaling.factor', f32(rope.scaling.factor)],
    );
  return [
    ['general.architecture', { type: 'string', value: arch }],
    ['general.type', { type: 'string', value: 'model' }],
    ['general.name', { type: 'string', value: name }],
    // 0: all in float32; 1: matrices in float16, the rest in float32.
    ['general.file_type', u32(dtype === 'F16' ? 1 : 0)],
    ...own.map(([key, value]) => [`${arch}.${key}`, value] as const),
  ];
}

/** Names of the parts of a block there, by their last words here. */
const PARTS: Readonly<Record<string, string>> = {
  'self_attn.qkv_proj': 'attn_qkv',
  'self_attn.q_proj': 'attn_q',
  'self_attn.k_proj': 'attn_k',
  'self_attn.v_proj': 'attn_v',
  'self_attn.o_proj': 'attn_output',
  'self_attn.q_norm': 'attn_q_norm',
  'self_attn.k_norm': 'attn_k_norm',
  'mlp.gate_proj': 'ffn_gate',
  'mlp.up_proj': 'ffn_up',
  // Phi-3's gate is the upper half there as here.
  'mlp.gate_up_proj': 'ffn_up',
  'mlp.down_proj': 'ffn_down',
};

/** The name of a weight there. */
export function tensorName(name: string, { norms }: ModelConfig): string {
  if (name === 'model.embed_tokens.weight') return 'token_embd.weight';
  if (name === 'model.norm.weight') return 'output_norm.weight';
  if (name === 'lm_head.weight') return 'output.weight';
  const [, block, part = '', kind] = /^model\.layers\.(\d+)\.(.+)\.(weight|bias)$/.exec(name) ?? [];
  const between: Readonly<Record<string, string>> = {
    ...(norms.beforeAttention === null ? {} : { [norms.beforeAttention]: 'attn_norm' }),
    ...(norms.afterAttention === null ? {} : { [norms.afterAttention]: 'post_attention_norm' }),
    ...(norms.beforeMlp === null ? {} : { [norms.beforeMlp]: 'ffn_norm' }),
    ...(norms.afterMlp === null ? {} : { [norms.afterMlp]: 'post_ffw_norm' }),
  };
  const there = PARTS[part] ?? between[part];
  if (there !== undefined) return `blk.${block}.${there}.${kind}`;
  throw new AppError('unsupported_format', `${name} has no name in GGUF.`, {
    param: 'format',
    hint: 'Take the merged model.',
  });
}

/** A weight's numbers as they are stored there: norms with what is added to them, rotary pairs beside each other. */
export function tensorData(name: string, { shape, data }: HostTensor, config: ModelConfig): Float32Array {
  const isNorm = shape.length === 1 && name.endsWith('norm.weight');
  if (isNorm && config.norms.offset !== 0) return data.map((value) => value + config.norms.offset);
  const isRotary = /\.self_attn\.[qk]_proj\.(weight|bias)$/.test(name);
  return isRotary && familyOf(config).pairsNeighbours ? neighbouringPairs(data, shape, config.headDim) : data;
}

/** Rows of each head from first half, second half to pairs: row i and row i + half become rows 2i and 2i + 1. */
function neighbouringPairs(
  data: Float32Array,
  [rows = 0, width = 1]: readonly number[],
  headDim: number,
): Float32Array {
  const moved = new Float32Array(data.length);
  const half = headDim / 2;
  for (let row = 0; row < rows; row++) {
    const [head, at] = [Math.floor(row / headDim), row % headDim];
    const to = head * headDim + (at < half ? 2 * at : 2 * (at - half) + 1);
    moved.set(data.subarray(row * width, (row + 1) * width), to * width);
  }
  return moved;
}

/** What rotary frequencies are divided by, [headDim / 2], where that is not one number for all; null where it is. */
export function ropeFactors(config: ModelConfig): Float32Array | null {
  const rope = ropeOf(config);
  if (rope.scaling?.kind !== 'llama3') return null;
  const scaledOnes = inverseFrequencies(config.headDim, rope);
  return inverseFrequencies(config.headDim, { ...rope, scaling: null }).map((plain, i) => plain / (scaledOnes[i] ?? 1));
}
