import type { LayerAttention, RopeScaling } from './architecture.js';
import { decoder, type LayerContext, refuseMlpBias } from './decoder.js';
import type { JsonConfig } from './json-config.js';

/** What `original_max_position_embeddings` is where config.json is silent. */
const ORIGINAL_POSITIONS = 4096;
/** Names that files have for LongRoPE. */
const LONGROPE = ['longrope', 'su', 'yarn'];

/**
 * Phi-3 and Phi-4: one matrix for queries, keys and values and one for gate and up, a part of each head that passes unrotated, LongRoPE
 * (Abdin et al. 2024, arXiv:2404.14219 and arXiv:2412.08905). With LongRoPE the context is the original one, where its short factors hold:
 * beyond, transformers rotates all positions by others as soon as one row is longer.
 */
export const phi3 = decoder({
  modelType: 'phi3',
  className: 'Phi3ForCausalLM',
  defaults: { maxPositions: 4096, rmsNormEps: 1e-5 },
  layerAttention: readLayers,
  differences: (config, { layerAttention, maxPositions }) => {
    refuseMlpBias(config);
    config.refuseUnless('attention_bias', [false], 'asks for attention with biases, which this family does not have');
    config.refuseUnless('lm_head_bias', [false], 'asks for a head with a bias, which this family does not have');
    for (const key of ['resid_pdrop', 'embd_pdrop'])
      config.refuseUnless(key, [0], 'asks for dropout inside the model; only 0 is supported');
    const isLong = layerAttention.some(({ rope }) => rope?.scaling?.kind === 'longrope');
    return { fused: true, maxPositions: isLong ? Math.min(maxPositions, readOriginal(config)) : maxPositions };
  },
});

const readOriginal = (config: JsonConfig): number =>
  config.size('original_max_position_embeddings', ORIGINAL_POSITIONS);

function readLayers(config: JsonConfig, { layers, headDim, maxPositions }: LayerContext): LayerAttention[] {
  config.refuseUnless('layer_types', [], 'asks for layers of several kinds, which this family does not have');
  const given = config.object('rope_scaling') ?? config.object('rope_parameters');
  given?.refuseObjects('asks for rotary constants that differ between layers, which this family does not have');
  const width = readWidth(given?.has('partial_rotary_factor') ? given : config, headDim);
  const rope = {
    theta: (given?.has('rope_theta') ? given : config).positive('rope_theta', 10_000),
    width,
    scaling: given ? readLongRope(given, width, { original: readOriginal(config), maxPositions }) : null,
  };
  const window = config.has('sliding_window') ? config.size('sliding_window') : null;
  return Array.from({ length: layers }, () => ({ rope, window }));
}

/** Features of a head that rotate, of `partial_rotary_factor`. */
function readWidth(place: JsonConfig, headDim: number): number {
  const width = Math.trunc(headDim * place.positive('partial_rotary_factor', 1));
  if (width > 0 && width <= headDim && width % 2 === 0) return width;
  const problem = `makes ${width} of ${headDim} features rotate; taken is an even number from 2 to all of them`;
  throw place.refuse('partial_rotary_factor', problem);
}

/** The short factors, and what `_compute_longrope_parameters` of transformers multiplies cosines and sines by. */
function readLongRope(
  rope: JsonConfig,
  width: number,
  { original, maxPositions }: { original: number; maxPositions: number },
): RopeScaling | null {
  const key = rope.has('rope_type') ? 'rope_type' : 'type';
  const type = rope.text(key) ?? 'default';
  if (type === 'default') return null;
  if (!LONGROPE.includes(type)) throw rope.refuse(key, 'is neither default nor longrope, the supported kinds');
  const factors = rope.positives('short_factor');
  if (factors.length !== width / 2) {
    throw rope.refuse('short_factor', `has ${factors.length} entries for ${width / 2} frequencies`);
  }
  const factor = rope.positive('factor', maxPositions / original);
  const magnitude = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(original));
  return { kind: 'longrope', factors, magnitude: rope.positive('attention_factor', magnitude) };
}
