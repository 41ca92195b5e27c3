import { linearShapes, type ModelShape } from '@moraine/contract/plan';
import { invariant } from '@moraine/engine';
import { type Adapter, layerVariables } from './adapter.js';
import type { HostTensor } from './host.js';
import { type AdapterFiles, type ExportedAdapter, role } from './methods/method.js';

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
  const peft = method.toPeft(exported);
  const native = method.toNative?.(exported) ?? peft;
  invariant(native !== null, 'a method without a form of its own has PEFT’s');
  return { native, peft };
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
  return { layers, baseName, dropout: adapter.dropout, targetModules: targetNames(config, adapter) };
}

/** Leaf names (`q_proj`) where each is adapted in every layer, as all readers expect; full paths otherwise. */
function targetNames(config: ModelShape, adapter: Adapter): string[] {
  const leaf = (path: string) => path.slice(path.lastIndexOf('.') + 1);
  const leaves = new Set(adapter.paths.map(leaf));
  const named = linearShapes(config).filter(({ name }) => leaves.has(leaf(name)));
  return named.length === adapter.paths.length ? [...leaves] : [...adapter.paths];
}
