import type { LayerAttention } from './architecture.js';
import type { LayerContext } from './decoder.js';
import type { JsonConfig } from './json-config.js';

interface Windows {
  layers: number;
  /** `sliding_window` as the family reads it. */
  window: number | null;
  /** Whether a layer has the window where config.json has no `layer_types`. */
  isSliding: (layer: number) => boolean;
}

/**
 * Which layers see one window: those that `layer_types` calls "sliding_attention".
 * @throws AppError `invalid_base` for another kind of layer, a list of another length, a missing window
 */
export function readSliding(config: JsonConfig, { layers, window, isSliding }: Windows): boolean[] {
  const types = config.texts('layer_types');
  const other = types?.find((type) => type !== 'sliding_attention' && type !== 'full_attention');
  if (other !== undefined) {
    throw config.refuse('layer_types', `names '${other}'; supported are full_attention and sliding_attention`);
  }
  if (types && types.length !== layers) {
    throw config.refuse('layer_types', `has ${types.length} entries for ${layers} layers`);
  }
  const sliding = Array.from({ length: layers }, (_, i) => (types ? types[i] === 'sliding_attention' : isSliding(i)));
  if (window !== null || !sliding.includes(true)) return sliding;
  throw config.refuse('sliding_window', 'is no window, which layers of kind sliding_attention need');
}

/** `sliding_window`: absent, the family's default; `null`, none. */
export function readWindow(config: JsonConfig, missing: number): number | null {
  const isNull = config.states('sliding_window') && !config.has('sliding_window');
  return isNull ? null : config.size('sliding_window', missing);
}

/** Qwen's layers: with `use_sliding_window`, those from `max_window_layers` on have the window. */
export function readQwenLayers(config: JsonConfig, { layers, rope }: LayerContext): LayerAttention[] {
  const window = config.flag('use_sliding_window', false) ? readWindow(config, 4096) : null;
  const first = config.states('max_window_layers') ? config.count('max_window_layers') : 28;
  const sliding = readSliding(config, { layers, window, isSliding: (layer) => window !== null && layer >= first });
  const shared = rope();
  return sliding.map((isSliding) => ({ rope: shared, window: isSliding ? window : null }));
}
