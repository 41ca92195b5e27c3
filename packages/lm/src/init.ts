import { type ModelShape, modelTensors } from '@moraine/contract/plan';
import type { HostTensor } from './host.js';
import { createRandom, hashName, mix32, normal } from './random.js';

export interface WeightInit {
  seed: number;
  /** Standard deviation of matrices: a number, or 1/sqrt(fan-in) of each linear layer (the embedding then takes 0.02). */
  std: number | 'fan-in';
}

const EMBEDDING_STD = 0.02;

/**
 * Starting weights for pre-training: normal, norms at 1 and biases at 0; the layers that write into the residual stream (o_proj, down_proj) are
 * scaled by 1/sqrt(2·layers) (Radford et al. 2019, §2.3). Each tensor's numbers depend on the seed and its name alone.
 */
export function initialWeights(config: ModelShape, { seed, std }: WeightInit): Map<string, HostTensor> {
  const weights = new Map<string, HostTensor>();
  for (const { name, shape, start } of modelTensors(config)) {
    const count = shape.reduce((a, b) => a * b, 1);
    if (start !== undefined) {
      weights.set(name, { shape, data: new Float32Array(count).fill(start) });
      continue;
    }
    const isLinear = name.includes('_proj');
    const base = std === 'fan-in' ? (isLinear ? 1 / Math.sqrt(shape[1] ?? 1) : EMBEDDING_STD) : std;
    const residual = /\.(o_proj|down_proj)\.weight$/.test(name) ? 1 / Math.sqrt(2 * config.layers) : 1;
    weights.set(name, { shape, data: normal(createRandom(mix32(seed, hashName(name))), count, base * residual) });
  }
  return weights;
}
