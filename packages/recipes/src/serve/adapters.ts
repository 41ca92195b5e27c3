import { AppError } from '@moraine/contract';
import { type Adapter, type AdapterGroup, adapterAtLambda, adapterShapes, type HostTensor } from '@moraine/lm';
import { type Base, readWeight } from '../base.js';
import { readAdapter } from '../read-adapter.js';

/** An adapter that a server has beside its base. */
export interface ServedAdapter {
  /** What requests call it. */
  name: string;
  /** Its folder, in any form that is read. */
  dir: string;
}

/** An adapter that was read: the group that it has a slot in, and its variables at a share of its update. */
export interface LoadedAdapter {
  name: string;
  group: number;
  variablesAt(lambda: number): ReadonlyMap<string, HostTensor>;
}

/**
 * Reads adapters and sorts them into groups of one method with equal numbers, layers and shapes, which share slots.
 * @throws AppError as `readAdapter` does; `invalid_value` for two of one name, and for one that cannot answer row by row.
 */
export function loadAdapters(
  base: Base,
  served: readonly ServedAdapter[],
  slotsFor: (adapters: number) => number,
): { adapters: LoadedAdapter[]; groups: AdapterGroup[] } {
  const groups = new Map<string, { adapter: Adapter; place: number; adapters: number }>();
  const adapters = served.map(({ name, dir }, i): LoadedAdapter => {
    if (served.findIndex((other) => other.name === name) !== i) throw twice(name);
    const { adapter, options, variables } = readAdapter(dir, base.config);
    refuseWhole(name, adapter, variables);
    const key = JSON.stringify([options, [...adapterShapes(base.config, adapter)]]);
    const group = groups.get(key) ?? { adapter, place: groups.size, adapters: 0 };
    group.adapters += 1;
    groups.set(key, group);
    return {
      name,
      group: group.place,
      variablesAt: (lambda) => adapterAtLambda(adapter, variables, lambda, (path) => readWeight(base, path)).variables,
    };
  });
  return {
    adapters,
    groups: [...groups.values()].map(({ adapter, adapters: count }) => ({ adapter, slots: slotsFor(count) })),
  };
}

const twice = (name: string): AppError =>
  new AppError('invalid_value', `Two adapters are called '${name}'.`, {
    param: 'adapter',
    hint: 'Give each its own name.',
  });

/** What stands in no slot: weights of a layer trained whole, and methods that need the base's weight. */
function refuseWhole(name: string, { method }: Adapter, variables: ReadonlyMap<string, HostTensor>): void {
  const whole = [...variables.keys()].find((variable) => /\.(weight|bias)$/.test(variable));
  const isRowwise = method.applyRows !== undefined && method.scales !== undefined;
  if (isRowwise && whole === undefined) return;
  const why = isRowwise ? `brings its own ${whole}, trained whole` : 'is of a method that cannot answer beside others';
  throw new AppError('unsupported_format', `The adapter '${name}' ${why}.`, {
    param: 'adapter',
    hint: 'Merge it, and serve the merged model as a base: npx moraine local merge.',
  });
}
