import type { Rope, RopeScaling } from './architecture.js';
import type { JsonConfig } from './json-config.js';

/** Rotary constants where config.json is silent. */
export interface RopeDefaults {
  theta: number;
  headDim: number;
  /** Longest context, which llama3's scaling takes for the original one. */
  maxPositions: number;
}

/**
 * Rotary constants of all layers as transformers 5 reads them: `rope_scaling` counts before `rope_parameters`, and a theta inside of it
 * before the one at the top of config.json. With the original context of a scaling it is the other way round.
 * @throws AppError `invalid_base` with key and value
 */
export function readRope(config: JsonConfig, { theta, headDim, maxPositions }: RopeDefaults): Rope {
  const rope = config.object('rope_scaling') ?? config.object('rope_parameters');
  rope?.refuseObjects('asks for rotary constants that differ between layers, which this family does not have');
  refusePartial(config);
  const place = rope?.has('rope_theta') ? rope : config;
  const original = config.has('original_max_position_embeddings') ? config : rope;
  const scaling = rope ? readScaling(rope, maxPositions, original) : null;
  return { theta: place.positive('rope_theta', theta), width: headDim, scaling };
}

/** Scaling of frequencies from `rope_scaling` or `rope_parameters`, with the original context of `place`; null where they are theta's own. */
export function readScaling(rope: JsonConfig, maxPositions: number, place: JsonConfig = rope): RopeScaling | null {
  refusePartial(rope);
  const key = rope.has('rope_type') ? 'rope_type' : 'type';
  const type = rope.text(key) ?? 'default';
  if (type === 'default') return null;
  if (type === 'linear') return { kind: 'linear', factor: rope.positive('factor') };
  if (type !== 'llama3') throw rope.refuse(key, 'is none of default, linear and llama3, the supported kinds');
  return {
    kind: 'llama3',
    factor: rope.positive('factor'),
    lowFreqFactor: rope.positive('low_freq_factor'),
    highFreqFactor: rope.positive('high_freq_factor'),
    originalMaxPositions: place.size('original_max_position_embeddings', maxPositions),
  };
}

export function refusePartial(place: JsonConfig): void {
  place.refuseUnless('partial_rotary_factor', [1], 'asks for partial rotary embeddings, which are not supported');
}
