import { PEFT, PEFT_PREFIX } from '@moraine/contract/methods/stored';
import { linearShapes, type ModelShape, weightShapes } from '@moraine/contract/plan';
import { invariant } from '@moraine/engine';
import { type Adapter, layerVariables } from './adapter.js';
import type { HostTensor } from './host.js';
import { type AdapterFiles, type ExportedAdapter, role } from './methods/method.js';

const EMBEDDING = 'model.embed_tokens.weight';

/** An adapter's files: its own form, and the exactly equal one that PEFT reads, or null where there is none. */
export interface AdapterForms {
  native: AdapterFiles;
  peft: AdapterFiles | null;
}

/** The forms of an adapter; the method says what they are. At least one exists. */
export function exportAdapter(
  config: ModelShape,
  adapter: Adapter,
  variables: ReadonlyMap<string, HostTensor>,
  baseName: string,
): AdapterForms {
  const { method } = adapter;
  const exported = exportedAdapter(config, adapter, variables, baseName);
  const withWhole = (files: AdapterFiles | null) => files && addWhole(config, files, variables);
  const peft = withWhole(method.toPeft(exported));
  const native = withWhole(method.toNative?.(exported) ?? null) ?? peft;
  invariant(native !== null, 'a method without a form of its own has PEFT’s');
  return { native, peft };
}

/** Adds those of `weights` that the base has: under the names that PEFT gives modules trained whole in its layout, their own elsewhere. */
export function addWhole(
  config: ModelShape,
  files: AdapterFiles,
  weights: ReadonlyMap<string, HostTensor>,
): AdapterFiles {
  const isPeft = files.configName === PEFT.configName;
  const prefix = isPeft ? PEFT_PREFIX : '';
  const tensors = new Map(files.tensors);
  const modules = new Set<string>();
  const add = (name: string, tensor: HostTensor): void => {
    tensors.set(`${prefix}${name}`, tensor);
    modules.add(name.slice(0, name.lastIndexOf('.')));
  };
  for (const name of weightShapes(config).keys()) {
    const tensor = weights.get(name);
    if (tensor === undefined) continue;
    add(name, tensor);
    // PEFT does not tie what it loads, so a tied head is written beside its embedding.
    if (isPeft && config.tieEmbeddings && name === EMBEDDING) add('lm_head.weight', tensor);
  }
  return modules.size === 0 ? files : { ...files, tensors, config: { ...files.config, modules_to_save: [...modules] } };
}

function exportedAdapter(
  config: ModelShape,
  adapter: Adapter,
  variables: ReadonlyMap<string, HostTensor>,
  baseName: string,
): ExportedAdapter {
  const shapes = new Map(linearShapes(config).map((linear) => [linear.name, linear]));
  const layers = [...layerVariables(adapter, variables)].map(([path, roles]) => {
    const shape = shapes.get(path);
    invariant(shape !== undefined, `the base has no linear layer ${path}`);
    return { ...shape, value: (name: string): HostTensor => role(roles, name) };
  });
  return { layers, baseName, dropout: adapter.dropout, targetModules: targetNames(config, adapter.paths) };
}

/** Leaf names (`q_proj`) where each is adapted in every layer, as all readers expect; full paths otherwise. */
export function targetNames(config: ModelShape, paths: readonly string[]): string[] {
  const leaf = (path: string) => path.slice(path.lastIndexOf('.') + 1);
  const leaves = new Set(paths.map(leaf));
  const named = linearShapes(config).filter(({ name }) => leaves.has(leaf(name)));
  return named.length === paths.length ? [...leaves] : [...paths];
}
