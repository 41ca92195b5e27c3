import type { AdapterOptions } from '@moraine/contract/methods/forms';
import { type LoraConfig, loraForm, lora as loraRow, reloraForm, unevenKey } from '@moraine/contract/methods/lora';
import { unsupported } from '@moraine/contract/methods/stored';
import type { LinearShape } from '@moraine/contract/plan';
import { loadTf, matMul2d, smallMatMul, type Tensor } from '@moraine/engine';
import { type HostTensor, padColumns, padRows } from '../host.js';
import { normalRows, orthonormalRows } from '../linalg.js';
import { at, differentiable, linear } from '../ops.js';
import { type Random, uniform } from '../random.js';
import {
  type ExportedAdapter,
  type LinearDims,
  type Method,
  type MethodModule,
  type ReadLayers,
  role,
} from './method.js';
import { peftFiles, peftVariables } from './peft.js';
import { ownOptions, restartedMethod, restarting } from './restart.js';
import { type AdapterSource, checkShape, layersOf, part } from './source.js';

type LoraOptions = Pick<LoraConfig, 'rank' | 'alpha' | 'use_rslora' | 'lora_plus_ratio' | 'init' | 'restart'>;
/** What is a LoRA inside of other methods too. */
type ScaleOptions = Pick<LoraConfig, 'rank' | 'alpha' | 'use_rslora'>;

export const lora: MethodModule<LoraOptions> = {
  create,
  stored: [
    { form: loraForm, read: (source) => readLora(source, 'LoRA', [], loraForm.options(source.json, source.file)) },
    restartedMethod(reloraForm, create),
  ],
};

/**
 * LoRA: y = x·W0ᵀ + scale · (x·Aᵀ)·Bᵀ, with lora_A [r, in] random and lora_B [out, r] zero, so that a fresh adapter changes nothing.
 * Hu et al. 2021, arXiv:2106.09685, Eq. 3 and §4.1; scale = alpha / r, or alpha / sqrt(r) (Kalajdzievski 2023, arXiv:2312.03732). Differs
 * from the paper as the authors' code does: A is Kaiming-uniform, U(±1/sqrt(in)), not Gaussian, and dropout acts on x. Asymmetric (Zhu et al.
 * 2024, arXiv:2402.16842): A has orthonormal rows and stays as it is.
 */
function create(options: LoraOptions): Method {
  const method = createPlain(options);
  return options.restart === undefined
    ? method
    : restarting(method, reloraForm, () => ownOptions(loraRow.config, options));
}

function createPlain(options: LoraOptions): Method {
  const { rank, alpha, use_rslora } = options;
  const scale = scaleOf(options);
  return {
    ...(options.init === 'asymmetric' ? { frozen: ['lora_A'] } : {}),
    ...loraPlus(options),
    scales: ['lora_B'],
    init: (dims, random) => {
      const start = loraInit(rank, dims, random);
      if (options.init !== 'asymmetric') return start;
      const rows = orthonormalRows(normalRows(random, rank, dims.inDim));
      return {
        ...start,
        lora_A: { shape: [rank, dims.inDim], data: Float32Array.from(rows.flatMap((row) => [...row])) },
      };
    },
    apply: (x, _weight, y0, variables) => {
      const { a, b } = loraFactors(variables);
      return loadTf().add(y0, lowRank(x, a, b, scale));
    },
    rows: {
      key: 'lora',
      scale,
      shared: (variables) => {
        const size = rankInRows(variables);
        return {
          method: createPlain({ rank: size, alpha, use_rslora }),
          fill: (name, value) => (name === 'lora_A' ? padRows(value, size) : padColumns(value, size)),
        };
      },
      apply: (x, layers) =>
        layers.map(({ variables }) => {
          const { a, b } = loraFactors(variables);
          return smallMatMul(smallMatMul(x, a, true), b, true); // x·Aᵀ is [B, T, r]
        }),
    },
    applyAll: (x, layers) => {
      const tf = loadTf();
      // One product with all A together reads x once, forwards and backwards; products this narrow are bound by that.
      const all = tf.concat(
        layers.map(({ variables }) => role(variables, 'lora_A')),
        0,
      ) as Tensor; // [sum of r, in]
      const ranks = layers.map(({ variables }) => role(variables, 'lora_A').shape[0] ?? 0); // a read adapter's may differ
      const inner = tf.split(tf.mul(linear(x, all), scale), ranks, 1) as Tensor[]; // k times [N, r]
      return layers.map(({ y0, variables }, i) => tf.add(y0, linear(at(inner, i), role(variables, 'lora_B'))));
    },
    toPeft: (adapter) => loraFiles(adapter, loraPairs(adapter, options), rank, use_rslora ? rank : alpha),
  };
}

/** The next power of two of the widest layer's rank, at least 8: a product is no faster with fewer columns. */
function rankInRows(variables: ReadonlyMap<string, HostTensor>): number {
  const ranks = [...variables].map(([name, { shape }]) => (name.endsWith('.lora_A') ? (shape[0] ?? 0) : 0));
  return 2 ** Math.ceil(Math.log2(Math.max(8, ...ranks)));
}

/** What B·A is multiplied by. */
export const scaleOf = ({ rank, alpha, use_rslora }: ScaleOptions): number =>
  alpha / (use_rslora ? Math.sqrt(rank) : rank);

/** LoRA+ (Hayou et al. 2024, arXiv:2402.12354): B learns at a multiple of A's rate. */
export const loraPlus = ({ lora_plus_ratio: ratio = 1 }: { lora_plus_ratio?: number | undefined }) =>
  ratio === 1 ? {} : { rates: { lora_B: ratio } };

export const loraInit = (rank: number, { inDim, outDim }: LinearDims, random: Random) => ({
  lora_A: { shape: [rank, inDim], data: uniform(random, rank * inDim, 1 / Math.sqrt(inDim)) },
  lora_B: { shape: [outDim, rank], data: new Float32Array(outDim * rank) },
});

export const loraFactors = (variables: Readonly<Record<string, Tensor>>) => ({
  a: role(variables, 'lora_A'),
  b: role(variables, 'lora_B'),
});

/** A and B of every layer; an rsLoRA scale is folded into B, because not every reader knows it. */
export function loraPairs({ layers }: ExportedAdapter, options: ScaleOptions) {
  const bScale = options.use_rslora ? scaleOf(options) : 1;
  return layers.map(({ name, value }) => {
    const b = value('lora_B');
    return { name, a: value('lora_A'), b: { ...b, data: b.data.map((x) => x * bScale) } };
  });
}

/** scale · (x·Aᵀ)·Bᵀ: x [N, in], a [r, in], b [out, r] -> [N, out]. The scale is multiplied into small matrices only. */
export function lowRank(x: Tensor, a: Tensor, b: Tensor, scale: number): Tensor {
  const tf = loadTf();
  return differentiable(
    [x, a, b],
    () => {
      const inner = tf.mul(matMul2d(x, a, false, true), scale); // [N, r]
      return { value: matMul2d(inner, b, false, true), saved: [x, a, b, inner] };
    },
    (dy, saved) => {
      const dInner = tf.mul(matMul2d(dy, at(saved, 2)), scale); // [N, r]
      const dx = matMul2d(dInner, at(saved, 1));
      return [dx, matMul2d(dInner, at(saved, 0), true), matMul2d(dy, at(saved, 3), true)];
    },
  );
}

/** LoRA in PEFT's layout, as PEFT, vLLM and llama.cpp read it: `lora_A` [r, in] and `lora_B` [out, r] of every layer. */
export function loraFiles(
  adapter: ExportedAdapter,
  pairs: readonly { name: string; a: HostTensor; b: HostTensor }[],
  rank: number,
  alpha: number,
) {
  // Adapters of others may have a rank for each layer, and not every reader knows that: zeros fill the smaller ones.
  const widest = Math.max(rank, ...pairs.map(({ a }) => a.shape[0] ?? 0));
  const tensors = pairs.flatMap(({ name, a, b }) => [
    [`${name}.lora_A.weight`, padRows(a, widest)] as const,
    [`${name}.lora_B.weight`, padColumns(b, widest)] as const,
  ]);
  return peftFiles(adapter, 'LORA', tensors, {
    r: widest,
    lora_alpha: (alpha * widest) / rank,
    lora_dropout: adapter.dropout,
    fan_in_fan_out: false,
    use_rslora: false,
    use_dora: false,
    init_lora_weights: true,
    rank_pattern: {},
    alpha_pattern: {},
  });
}

/** A LoRA's scale, and what is a LoRA inside of other methods, as a folder says it. */
type ReadOptions = AdapterOptions & ScaleOptions;

/**
 * Layers and variables of a folder with the matrices of a LoRA and, of each layer, the variables of `more` roles. Where ranks and scales differ
 * between layers, each layer's scale goes into its B, so that the method's own is 1; `rank` is the first layer's.
 */
export function readLora<O extends ReadOptions>(
  source: AdapterSource,
  method: string,
  more: readonly string[],
  options: O,
): ReadLayers & { options: O; layers: readonly LinearShape[] } {
  const isUneven = unevenKey(source.json) !== undefined;
  const variables = peftVariables(source, method, ['lora_A', 'lora_B', ...more]);
  const layers = layersOf(source, variables);
  for (const { name, inDim, outDim } of layers) {
    const a = part(source, variables, `${name}.lora_A`);
    const b = part(source, variables, `${name}.lora_B`);
    const rank = a.shape[0] ?? 0;
    checkShape(source, `${name}.lora_A`, a, [rank, inDim]);
    checkShape(source, `${name}.lora_B`, b, [outDim, rank]);
    const scale = storedScale(source, name, { ...options, rank });
    if (isUneven) variables.set(`${name}.lora_B`, { shape: b.shape, data: b.data.map((value) => value * scale) });
  }
  const rank = variables.get(`${layers[0].name}.lora_A`)?.shape[0] ?? 1;
  const folded = isUneven ? { rank, alpha: rank, use_rslora: false } : {};
  return { options: { ...options, ...folded }, layers, paths: layers.map(({ name }) => name), variables };
}

/** Scale of a layer whose matrices have that rank; a pattern for the layer's name counts more than the common value, as in PEFT. */
function storedScale({ file, json }: AdapterSource, path: string, options: ScaleOptions): number {
  const own = (key: string): unknown => {
    const patterns = json[key];
    if (typeof patterns !== 'object' || patterns === null) return undefined;
    return Object.entries(patterns).find(([pattern]) => new RegExp(`(^|.*\\.)${pattern}$`).test(path))?.[1];
  };
  const { rank } = options;
  const said = own('rank_pattern') ?? json.r;
  if (said !== rank) throw unsupported(file, `the rank of ${path} is ${String(said)}, its matrices have ${rank}`);
  const alpha = own('alpha_pattern') ?? options.alpha;
  if (typeof alpha !== 'number')
    throw unsupported(file, `alpha_pattern of ${path} is ${JSON.stringify(alpha)}, not a number`);
  return scaleOf({ ...options, alpha });
}
