import { decoder, readBiases } from './decoder.js';
import type { JsonConfig } from './json-config.js';
import { readSliding } from './layer-types.js';

/** SmolLM3: every fourth layer, or those that `no_rope_layers` marks with 0, rotates nothing (Yang et al. 2025, arXiv:2501.18795). */
export const smollm3 = decoder({
  modelType: 'smollm3',
  className: 'SmolLM3ForCausalLM',
  defaults: { kvHeads: 4, maxPositions: 32_768, theta: 2_000_000, tieEmbeddings: true },
  layerAttention: (config, { layers, rope }) => {
    const rotates = readRotating(config, layers);
    const window = config.has('sliding_window') ? config.size('sliding_window') : null;
    const slides = config.flag('use_sliding_window', false) && window !== null;
    const sliding = readSliding(config, { layers, window, isSliding: (layer) => slides && !rotates[layer] });
    const shared = rope();
    return sliding.map((isSliding, layer) => ({
      rope: rotates[layer] ? shared : null,
      window: isSliding ? window : null,
    }));
  },
  differences: (config) => ({ biases: readBiases(config, { mlp: true }) }),
});

function readRotating(config: JsonConfig, layers: number): boolean[] {
  const marks = config.integers('no_rope_layers');
  const interval = config.size('no_rope_layer_interval', 4);
  if (marks === undefined) return Array.from({ length: layers }, (_, layer) => (layer + 1) % interval !== 0);
  if (marks.length >= layers) return marks.map((mark) => mark !== 0);
  throw config.refuse('no_rope_layers', `has ${marks.length} entries for ${layers} layers`);
}
