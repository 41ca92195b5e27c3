import { loadTf, type Tensor } from '@moraine/engine';
import { frozenLinear } from '../ops.js';
import {
  type AdapterFiles,
  type ExportedAdapter,
  type Method,
  type ReadLayers,
  role,
  type StoredMethod,
} from './method.js';
import { type AdapterSource, checkShape, layersOf, part, unsupported } from './source.js';

/** The sum of the updates merged so far, [out, in]. */
const MERGED = 'merged';

/**
 * A method that can be merged and started again: y0 + x·mergedᵀ takes the place of y0. ReLoRA (Lialin et al. 2023, arXiv:2307.05695) and ReMoRA
 * (arXiv:2405.12130, §3.4) add to the base instead; the sum is the same, and here the base stays the registered one. Only for methods
 * that add to y0. `options` is the configuration that its own files keep.
 */
export function restarting(method: Method, type: string, options: Readonly<Record<string, unknown>>): Method {
  const { init, apply, applyAll: _all, ...rest } = method;
  return {
    ...rest,
    merged: MERGED,
    frozen: [...(method.frozen ?? []), MERGED],
    init: (dims, random, restarts) => ({
      ...init(dims, random, restarts),
      [MERGED]: { shape: [dims.outDim, dims.inDim], data: new Float32Array(dims.outDim * dims.inDim) },
    }),
    apply: (x, weight, y0, variables) => {
      const sum = loadTf().add(y0, frozenLinear(x, role(variables, MERGED))) as Tensor;
      return apply(x, weight, sum, variables);
    },
    toPeft: () => null,
    toNative: (adapter) => nativeFiles(adapter, type, options, method.init),
  };
}

const formOf = (type: string) => ({ configName: `re${type}_config.json`, weightsName: `re${type}_model.safetensors` });

/** All its variables under their own names, and the configuration that makes the method again. */
function nativeFiles(
  { layers, baseName }: ExportedAdapter,
  type: string,
  options: Readonly<Record<string, unknown>>,
  init: Method['init'],
): AdapterFiles {
  const tensors = layers.flatMap(({ name, inDim, outDim, value }) =>
    [...Object.keys(init({ inDim, outDim }, () => 0)), MERGED].map((each) => [`${name}.${each}`, value(each)] as const),
  );
  return {
    ...formOf(type),
    tensors: new Map(tensors),
    config: { format: `moraine-re${type}`, format_version: 1, base_model_name_or_path: baseName, method: options },
  };
}

/** What reads such a folder; `parse` makes the method of a configuration, or throws. */
export function restartedForm(type: string, parse: (options: unknown) => Method): StoredMethod {
  return {
    form: formOf(type),
    read: (source) => {
      const { file, json } = source;
      if (json.format !== `moraine-re${type}` || json.format_version !== 1)
        throw unsupported(
          file,
          `format ${String(json.format)} ${String(json.format_version)} is not moraine-re${type} 1`,
        );
      return readLayers(source, parse(json.method));
    },
  };
}

function readLayers(source: AdapterSource, method: Method): ReadLayers {
  const variables = source.tensors();
  const layers = layersOf(source, variables);
  for (const { name, inDim, outDim } of layers)
    for (const [each, { shape }] of Object.entries(method.init({ inDim, outDim }, () => 0)))
      checkShape(source, `${name}.${each}`, part(source, variables, `${name}.${each}`), shape);
  return { method, paths: layers.map(({ name }) => name), variables };
}

/** The keys of a configuration that are the method's own. */
export function ownOptions(
  { shape }: { shape: Readonly<Record<string, unknown>> },
  options: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const isOwn = (key: string): boolean => key in shape && key !== 'dropout' && key !== 'target_modules';
  return Object.fromEntries(Object.entries(options).filter(([key]) => isOwn(key)));
}

/** Such a configuration as a file has it. @throws AppError `unsupported_format` where it is none of the method's. */
export function readOptions<C>(
  schema: { safeParse(value: unknown): { success: true; data: C } | { success: false } },
  options: unknown,
): C {
  const whole =
    typeof options === 'object' && options !== null ? { ...options, dropout: 0, target_modules: [] } : options;
  const parsed = schema.safeParse(whole);
  if (parsed.success) return parsed.data;
  throw unsupported('The configuration', `${JSON.stringify(options)} is not one of this method`);
}
