import { AppError } from '@moraine/contract';
import { type LlamaConfig, linearShapes } from '@moraine/contract/plan';
import { type Adapter, layerVariables } from './adapter.js';
import type { HostTensor } from './host.js';
import type { LoraMethod } from './methods/lora.js';
import { role } from './methods/method.js';

/** Tensors of one safetensors file and the JSON that lies beside it. */
export interface AdapterFiles {
  tensors: Map<string, HostTensor>;
  config: Record<string, unknown>;
}

/**
 * An adapter as Hugging Face PEFT, vLLM and llama.cpp read LoRA: `base_model.model.<path>.lora_A.weight` [r, in], `lora_B.weight`
 * [out, r] and adapter_config.json. LoRA goes as it is (an rsLoRA scale is folded into B, because not every reader knows it). MoRA of
 * type 1 is exactly a LoRA of rank R: A sums inputs, B = tiled M; smaller layers are padded with zeros to one rank, alpha = rank.
 * @throws AppError `unsupported_format` for MoRA of type 6, which is not low rank: merge it instead.
 */
export function peftAdapter(
  config: LlamaConfig,
  adapter: Adapter,
  variables: ReadonlyMap<string, HostTensor>,
  baseName: string,
): AdapterFiles {
  const { shape } = adapter.method;
  const layers = layersOf(adapter, variables);
  switch (shape.type) {
    case 'lora': {
      const { options, scale } = adapter.method as LoraMethod;
      const bScale = options.useRslora ? scale : 1;
      const pairs = layers.map(({ path, value }) => {
        const b = value('lora_B');
        return { path, a: value('lora_A'), b: { ...b, data: b.data.map((x) => x * bScale) } };
      });
      const alpha = options.useRslora ? options.rank : options.alpha;
      return peftFiles(config, adapter, pairs, { rank: options.rank, alpha, baseName });
    }
    case 'mora': {
      if (shape.moraType !== 1) break;
      const dims = new Map(linearShapes(config).map((linear) => [linear.name, linear]));
      const sides = layers.map(({ value }) => value('mora_M').shape[0] ?? 0);
      const rank = Math.max(...sides);
      const pairs = layers.map(({ path, value }) => {
        const { inDim = 0, outDim = 0 } = dims.get(path) ?? {};
        return { path, ...sharingAsLora(value('mora_M'), inDim, outDim, rank) };
      });
      return peftFiles(config, adapter, pairs, { rank, alpha: rank, baseName });
    }
    default:
      shape satisfies never;
  }
  throw new AppError('unsupported_format', `An adapter of ${describe(adapter)} has no exact form as a LoRA.`, {
    param: 'format',
    hint: 'Download the merged model, which any engine loads, or the native format.',
  });
}

/** MoRA in its own form: `<path>.mora_M` [R, R] and mora_config.json, which says everything that is needed to apply it. */
export function moraAdapter(
  adapter: Adapter,
  variables: ReadonlyMap<string, HostTensor>,
  baseName: string,
): AdapterFiles {
  const { shape } = adapter.method;
  if (shape.type !== 'mora') {
    throw new AppError('unsupported_format', `${describe(adapter)} is not MoRA.`, {
      hint: 'Download the PEFT format.',
    });
  }
  const layers = layersOf(adapter, variables).map(({ path, value }) => ({ path, m: value('mora_M') }));
  return {
    tensors: new Map(layers.map(({ path, m }) => [`${path}.mora_M`, m])),
    config: {
      format: 'moraine-mora',
      format_version: 1,
      base_model_name_or_path: baseName,
      rank: shape.rank,
      mora_type: shape.moraType,
      side: Object.fromEntries(layers.map(({ path, m }) => [path, m.shape[0]])),
      scale: 1,
      angle_base: 10_000,
      pairing: 'half',
      padding: 'circular',
    },
  };
}

function describe({ method: { shape } }: Adapter): string {
  return shape.type === 'mora' ? `mora (type ${shape.moraType})` : shape.type;
}

function layersOf(adapter: Adapter, variables: ReadonlyMap<string, HostTensor>) {
  return [...layerVariables(adapter, variables)].map(([path, roles]) => ({
    path,
    value: (name: string): HostTensor => role(roles, name),
  }));
}

/** Type 1 as a LoRA pair of rank `rank` >= R: A [rank, in] has a 1 (or 2, where padding wraps) per input's group, B [out, rank] = tiled M. */
function sharingAsLora(m: HostTensor, inDim: number, outDim: number, rank: number): { a: HostTensor; b: HostTensor } {
  const [side = 0] = m.shape;
  const a = new Float32Array(rank * inDim);
  const padded = Math.ceil(inDim / side) * side;
  for (let j = 0; j < padded; j++) {
    const index = (j % side) * inDim + (j % inDim);
    a[index] = (a[index] ?? 0) + 1;
  }
  const b = new Float32Array(outDim * rank);
  for (let i = 0; i < outDim; i++) b.set(m.data.subarray((i % side) * side, (i % side) * side + side), i * rank);
  return { a: { shape: [rank, inDim], data: a }, b: { shape: [outDim, rank], data: b } };
}

function peftFiles(
  config: LlamaConfig,
  adapter: Adapter,
  pairs: readonly { path: string; a: HostTensor; b: HostTensor }[],
  { rank, alpha, baseName }: { rank: number; alpha: number; baseName: string },
): AdapterFiles {
  const tensors = new Map<string, HostTensor>();
  for (const { path, a, b } of pairs) {
    tensors.set(`base_model.model.${path}.lora_A.weight`, a);
    tensors.set(`base_model.model.${path}.lora_B.weight`, b);
  }
  return {
    tensors,
    config: {
      peft_type: 'LORA',
      task_type: 'CAUSAL_LM',
      base_model_name_or_path: baseName,
      r: rank,
      lora_alpha: alpha,
      lora_dropout: adapter.dropout,
      target_modules: targetNames(config, adapter),
      bias: 'none',
      fan_in_fan_out: false,
      use_rslora: false,
      use_dora: false,
      init_lora_weights: true,
      inference_mode: true,
      modules_to_save: null,
      rank_pattern: {},
      alpha_pattern: {},
    },
  };
}

/** Leaf names (`q_proj`) where each is adapted in every layer, as all readers expect; full paths otherwise. */
function targetNames(config: LlamaConfig, adapter: Adapter): string[] {
  const leaf = (path: string) => path.slice(path.lastIndexOf('.') + 1);
  const leaves = new Set(adapter.paths.map(leaf));
  const named = linearShapes(config).filter(({ name }) => leaves.has(leaf(name)));
  return named.length === adapter.paths.length ? [...leaves] : [...adapter.paths];
}
