import type { PissaConfig } from '@moraine/contract/methods/pissa';
import { loadTf } from '@moraine/engine';
import type { HostTensor } from '../host.js';
import { truncatedSvd } from '../linalg.js';
import { loraFactors, loraFiles, loraInit, loraPlus, lowRank, scaleOf } from './lora.js';
import { type Method, type MethodModule, role } from './method.js';

type PissaOptions = Pick<PissaConfig, 'rank' | 'alpha' | 'use_rslora' | 'lora_plus_ratio'>;

/** Stored as the LoRA of twice the rank that its difference from the base is. */
export const pissa: MethodModule<PissaOptions> = { create };

/**
 * PiSSA: y = x·W0ᵀ + scale · (x·Aᵀ·Bᵀ - x·A0ᵀ·B0ᵀ), where A0 and B0 are the starting values of A and B: the r largest singular values and
 * vectors of W0 = U S Vᵀ, A0 = sqrt(S / scale) Vᵀ, B0 = U sqrt(S / scale). Meng et al. 2024, arXiv:2404.02948, Eq. 2 to 4, where W0 without
 * them is frozen instead; the sum is the same, and here the base stays the registered one and a fresh adapter changes nothing.
 */
function create(options: PissaOptions): Method {
  const { rank } = options;
  const scale = scaleOf(options);
  return {
    ...loraPlus(options),
    frozen: ['start_A', 'start_B'],
    scales: ['lora_B', 'start_B'],
    init: (dims, random) => {
      const { lora_A, lora_B } = loraInit(rank, dims, random);
      return { lora_A, lora_B, start_A: lora_A, start_B: lora_B };
    },
    fit: (weight, random) => {
      const { a, b } = largestPart(weight, rank, scale, random);
      return { lora_A: a, lora_B: b, start_A: a, start_B: b };
    },
    apply: (x, _weight, y0, variables) => {
      const tf = loadTf();
      const { a, b } = loraFactors(variables);
      const now = lowRank(x, a, b, scale);
      const start = lowRank(x, role(variables, 'start_A'), role(variables, 'start_B'), scale);
      return tf.add(y0, tf.sub(now, start));
    },
    toPeft: (adapter) => {
      const pairs = adapter.layers.map(({ name, value }) => {
        const [a, b, a0, b0] = ['lora_A', 'lora_B', 'start_A', 'start_B'].map(value) as [
          HostTensor,
          HostTensor,
          HostTensor,
          HostTensor,
        ];
        const rows = Float32Array.from([...a.data, ...a0.data]);
        return { name, a: { shape: [2 * rank, a.shape[1] ?? 0], data: rows }, b: besides(b, b0, scale) };
      });
      return loraFiles(adapter, pairs, 2 * rank, 2 * rank);
    },
  };
}

/** A0 [r, in] and B0 [out, r] of a weight. */
function largestPart(weight: HostTensor, rank: number, scale: number, random: () => number) {
  const [outDim = 0, inDim = 0] = weight.shape;
  const { left, values, right } = truncatedSvd(weight, rank, random);
  const b = new Float32Array(outDim * rank);
  const a = new Float32Array(rank * inDim);
  for (const [i, sigma] of values.entries()) {
    const root = Math.sqrt(sigma / scale);
    for (let row = 0; row < outDim; row++) b[row * rank + i] = (left[i]?.[row] ?? 0) * root;
    for (let column = 0; column < inDim; column++) a[i * inDim + column] = (right[i]?.[column] ?? 0) * root;
  }
  return { a: { shape: [rank, inDim], data: a }, b: { shape: [outDim, rank], data: b } };
}

/** [scale · B | -scale · B0]: [out, 2r]. */
function besides(b: HostTensor, b0: HostTensor, scale: number): HostTensor {
  const [rows = 0, rank = 0] = b.shape;
  const data = new Float32Array(rows * 2 * rank);
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < rank; i++) {
      data[row * 2 * rank + i] = scale * (b.data[row * rank + i] ?? 0);
      data[row * 2 * rank + rank + i] = -scale * (b0.data[row * rank + i] ?? 0);
    }
  }
  return { shape: [rows, 2 * rank], data };
}
