import type { AdapterOptions } from '@moraine/contract/methods/forms';
import type { StoredForm } from '@moraine/contract/methods/stored';
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
import { type AdapterSource, checkShape, layersOf, part } from './source.js';

/** The sum of the updates merged so far, [out, in]. */
const MERGED = 'merged';

/**
 * A method that can be merged and started again: y0 + x·mergedᵀ takes the place of y0. ReLoRA (Lialin et al. 2023, arXiv:2307.05695) and ReMoRA
 * (arXiv:2405.12130, §3.4) add to the base instead; the sum is the same, and here the base stays the registered one. Only for methods
 * that add to y0. Its own files are of the form `form` and keep the configuration `optionsOf`.
 */
export function restarting(
  method: Method,
  form: StoredForm,
  optionsOf: (adapter: ExportedAdapter) => Readonly<Record<string, unknown>>,
): Method {
  const { init, apply, applyAll: _all, rows: _rows, ...rest } = method;
  return {
    ...rest,
    merged: MERGED,
    frozen: [...(method.frozen ?? []), MERGED],
    ...(method.scales && { scales: [...method.scales, MERGED] }),
    init: (dims, random, restarts) => ({
      ...init(dims, random, restarts),
      [MERGED]: { shape: [dims.outDim, dims.inDim], data: new Float32Array(dims.outDim * dims.inDim) },
    }),
    apply: (x, weight, y0, variables) => {
      const sum = loadTf().add(y0, frozenLinear(x, role(variables, MERGED))) as Tensor;
      return apply(x, weight, sum, variables);
    },
    toPeft: () => null,
    toNative: (adapter) => nativeFiles(adapter, form, optionsOf(adapter), method.init),
  };
}

/** All its variables under their own names, and the configuration that makes the method again. */
function nativeFiles(
  { layers, baseName }: ExportedAdapter,
  { configName, weightsName }: StoredForm,
  options: Readonly<Record<string, unknown>>,
  init: Method['init'],
): AdapterFiles {
  const tensors = layers.flatMap(({ name, inDim, outDim, value }) =>
    [...Object.keys(init({ inDim, outDim }, () => 0)), MERGED].map((each) => [`${name}.${each}`, value(each)] as const),
  );
  return {
    configName,
    weightsName,
    tensors: new Map(tensors),
    config: {
      format: `moraine-${configName.replace('_config.json', '')}`,
      format_version: 1,
      base_model_name_or_path: baseName,
      method: options,
    },
  };
}

/** What reads such a folder. */
export const restartedMethod = <O extends AdapterOptions>(
  form: StoredForm<O>,
  create: (options: O) => Method,
): StoredMethod => ({
  form,
  read: (source) => {
    const options = form.options(source.json, source.file);
    return { options, ...readLayers(source, create(options)) };
  },
});

function readLayers(source: AdapterSource, method: Method): Omit<ReadLayers, 'options'> {
  const variables = source.tensors();
  const layers = layersOf(source, variables);
  for (const { name, inDim, outDim } of layers)
    for (const [each, { shape }] of Object.entries(method.init({ inDim, outDim }, () => 0)))
      checkShape(source, `${name}.${each}`, part(source, variables, `${name}.${each}`), shape);
  return { paths: layers.map(({ name }) => name), variables };
}

/** The keys of a configuration that are the method's own. */
export function ownOptions(
  { shape }: { shape: Readonly<Record<string, unknown>> },
  options: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const isOwn = (key: string): boolean => key in shape && key !== 'dropout' && key !== 'target_modules';
  return Object.fromEntries(Object.entries(options).filter(([key]) => isOwn(key)));
}
