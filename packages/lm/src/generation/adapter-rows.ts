import { AppError } from '@moraine/contract';
import type { ModelShape } from '@moraine/contract/plan';
import {
  choose,
  type Feed,
  type FeedValue,
  gatherRows,
  invariant,
  loadTf,
  type Scope,
  type Session,
  type Signature,
  signature,
  type Tensor,
  type VariableSpec,
} from '@moraine/engine';
import { type Adapter, adapterShapes } from '../adapter.js';
import type { HostTensor } from '../host.js';
import type { RowMethod } from '../methods/method.js';
import type { Net } from '../net.js';
import { at } from '../ops.js';
import type { AdapterRows, RowAdapter } from './options.js';

/**
 * Adapters beside one base, each row with its own, chosen without tracing again. Adapters whose methods compute alike (`rows.key`), with
 * equal shapes and layers, make a group. A group's variables, [rows + 1, …], hold the adapter of each row of the caches: it is written there when a prompt takes the row, so that a step
 * reads it in place. The last row belongs to passes without a row of the caches. A row without an adapter of a group has zeros there, which is the base
 * alone. Methods without `rows` have no groups.
 */

/** int32 [B]: which row of the variables each row of a pass has; absent where they are all rows, in order. */
const ROWS = 'adapterRows';
/** int32 [groups]: 1 where a row of the pass has an adapter of the group. The others are not computed. */
const USED = 'adapterGroups';

/** What a signature of B rows over `adapterRowsNet` takes besides; `isAll`: B is the number of rows, and row b is row b. */
export function adapterFeeds(groups: readonly Adapter[], batch: number, isAll = false): Record<string, Feed> {
  if (groups.length === 0) return {};
  return {
    [USED]: { shape: [groups.length], dtype: 'int32' },
    ...(isAll ? {} : { [ROWS]: { shape: [batch], dtype: 'int32' } }),
  };
}

/**
 * The variables of all groups, `adapters.<group>.<path>.<role>`, zeros at the start.
 * @throws AppError `invalid_value` for a method whose adapters cannot answer row by row.
 */
export function adapterVariables(
  config: ModelShape,
  groups: readonly Adapter[],
  rows: number,
): Map<string, VariableSpec> {
  for (const adapter of groups) rowMethod(adapter);
  return new Map(
    groups.flatMap((adapter, group) =>
      [...adapterShapes(config, adapter)].map(([name, shape]) => [
        variableName(group, name),
        { shape: [rows + 1, ...shape] },
      ]),
    ),
  );
}

const variableName = (group: number, name: string) => `adapters.${group}.${name}`;
const putName = (group: number) => `adapters/${group}`;

/** `adapters/<group>`: `values` [N], the variables of an adapter end to end, and `row` int32 [1] -> writes them there. */
export function adapterSignatures(config: ModelShape, groups: readonly Adapter[]): Record<string, Signature> {
  return Object.fromEntries(
    groups.map((adapter, group) => [putName(group), putAdapter(group, adapterShapes(config, adapter))]),
  );
}

function putAdapter(group: number, shapes: ReadonlyMap<string, number[]>): Signature {
  const total = [...shapes.values()].reduce((sum, shape) => sum + sizeOf(shape), 0);
  return signature({
    isCompiled: false,
    feeds: { values: { shape: [total], dtype: 'float32' }, row: { shape: [1], dtype: 'int32' } },
    build: (feeds, scope) => {
      const tf = loadTf();
      let from = 0;
      for (const [name, shape] of shapes) {
        const given = tf.reshape(tf.slice(feeds.values, [from], [sizeOf(shape)]), [1, ...shape]);
        scope.scatterRows(variableName(group, name), feeds.row, given as Tensor);
        from += sizeOf(shape);
      }
      return {};
    },
  });
}

/** `<path>.<role>` */
const roleOf = (name: string): string => name.slice(name.lastIndexOf('.') + 1);

const sizeOf = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);

/** A net that adds to `base` what each row's adapter does: x [B*T, in] is T positions of each of the B rows that are fed. */
export function adapterRowsNet(
  base: Net,
  config: ModelShape,
  groups: readonly Adapter[],
  rows: number,
  scope: Scope,
  feeds: Readonly<Record<string, Tensor>>,
): Net {
  const tf = loadTf();
  if (groups.length === 0) return base;
  const chosen = feeds[ROWS];
  const batch = chosen?.shape[0] ?? rows;
  const used = feeds[USED];
  invariant(used !== undefined, `the signature was given no feed ${USED}`);
  const kinds = groups.map((adapter, group) => {
    const isUsed = tf.greater(tf.reshape(tf.slice(used, [group], [1]), []), tf.scalar(0, 'int32'));
    return { method: rowMethod(adapter), roles: rolesByPath(config, adapter), isUsed, group };
  });
  const ofRows = (name: string): Tensor => {
    const all = scope.read(name);
    if (chosen !== undefined) return gatherRows(all, chosen);
    return tf.slice(all, new Array<number>(all.rank).fill(0), [rows, ...all.shape.slice(1)]);
  };
  const byRow = (x: Tensor): Tensor => tf.reshape(x, [batch, -1, x.shape[1] ?? 0]);
  type Group = (typeof kinds)[number];
  /** The outputs of layers that read one x, with what a group adds to those that it has; one conditional for all of them. */
  const withGroup = (
    { group, method, roles, isUsed }: Group,
    paths: readonly string[],
    x: Tensor,
    outputs: Tensor[],
  ) => {
    const own = paths.flatMap((path, place) => {
      const names = roles.get(path)?.map((role) => [role, variableName(group, `${path}.${role}`)] as const);
      return names === undefined ? [] : [{ place, names }];
    });
    if (own.length === 0) return outputs;
    const names = own.flatMap((layer) => layer.names.map(([, name]) => name));
    const add = ([from, ...rest]: Tensor[]): Tensor[] => {
      invariant(from !== undefined, 'a layer has an input');
      const before = rest.slice(0, own.length);
      const values = new Map(names.map((name, i) => [name, at(rest, own.length + i)]));
      const layers = own.map((layer, i) => ({
        outDim: at(before, i).shape[1] ?? 0,
        variables: Object.fromEntries(layer.names.map(([role, name]) => [role, values.get(name) as Tensor])),
      }));
      const updates = method(byRow(from), layers);
      return before.map((y, i) => tf.add(y, tf.reshape(at(updates, i), y.shape)) as Tensor);
    };
    const inputs = [x, ...own.map(({ place }) => at(outputs, place)), ...names.map(ofRows)];
    const made = choose(isUsed, inputs, add, (given) => given.slice(1, 1 + own.length));
    return outputs.map((y, place) => made[own.findIndex((layer) => layer.place === place)] ?? y);
  };
  const net: Net = {
    ...base,
    linears: (paths, x) =>
      kinds.reduce((outputs, group) => withGroup(group, paths, x, outputs), base.linears(paths, x)),
    linear: (path, x) => at(net.linears([path], x), 0),
  };
  return net;
}

function rowMethod({ method }: Adapter): RowMethod['apply'] {
  if (method.rows !== undefined) return method.rows.apply;
  throw new AppError('invalid_value', 'Adapters of this method cannot answer row by row beside one base.', {
    hint: 'Merge the adapter into weights of its own.',
  });
}

/** The adapters that rows may have. They stay on the host until a row takes them. */
export interface AdapterStore extends AdapterRows {
  names(): string[];
  has(name: string): boolean;
  /** Names of those that rows have. */
  seated(): string[];
  /**
   * Adds an adapter (`rowVariables`, `<path>.<role>`) of a group, or one in place of another of its name; an answer under way goes on with the one that it
   * began with. What makes the variables is called whenever a row takes them.
   * @throws AppError `invalid_value` when they are not those of the group.
   */
  load(name: string, group: number, variables: Variables | (() => Variables)): void;
  /** Nothing happens when there is none of that name. */
  unload(name: string): void;
}

type Variables = ReadonlyMap<string, HostTensor>;

/** The adapters of a session whose program has `adapterVariables` and `adapterSignatures` of the same groups. */
export function createAdapterStore(
  session: Session,
  config: ModelShape,
  groups: readonly Adapter[],
  rows: number,
): AdapterStore {
  const shapes = groups.map((adapter) => adapterShapes(config, adapter));
  const shapesOf = (group: number): Map<string, number[]> => {
    const found = shapes[group];
    invariant(found !== undefined, `there is no group ${group} of adapters among ${groups.length}`);
    return found;
  };
  const known = new Map<string, RowAdapter>();
  /** What the variables hold in each row; undefined where a write failed, and nobody knows. */
  const held = new Array<RowAdapter | null | undefined>(rows + 1).fill(null);
  const put = (row: number, group: number, variables: Variables | null): void => {
    const own = shapesOf(group);
    const values = new Float32Array([...own.values()].reduce((sum, shape) => sum + sizeOf(shape), 0));
    let at = 0;
    for (const [name, shape] of own) {
      const data = variables?.get(name)?.data;
      if (data !== undefined) values.set(data, at);
      at += sizeOf(shape);
    }
    session.run(putName(group), { values, row: Int32Array.of(row) });
  };
  const store: AdapterStore = {
    names: () => [...known.keys()],
    has: (name) => known.has(name),
    seated: () => held.flatMap((adapter) => adapter?.name ?? []),
    find: (name) => {
      if (name === null) return null;
      const found = known.get(name);
      if (found === undefined) throw notResident(name, [...known.keys()]);
      return found;
    },
    seat: (row, adapter) => {
      const before = held[row];
      if (before === adapter) return;
      const variables = adapter?.variables() ?? null;
      const written = before === undefined ? [...groups.keys()] : before === null ? [] : [before.group];
      held[row] = undefined;
      for (const group of written) if (group !== adapter?.group) put(row, group, null);
      if (adapter !== null) put(row, adapter.group, variables);
      held[row] = adapter;
    },
    feeds: (of, { isAll = false, active = of } = {}) => {
      if (groups.length === 0) return {};
      const feeds: Record<string, FeedValue> = {
        [USED]: Int32Array.from(groups, (_, group) => Number(active.some((row) => held[row]?.group === group))),
      };
      if (!isAll) feeds[ROWS] = Int32Array.from(of);
      return feeds;
    },
    outside: (adapter) => {
      store.seat(rows, adapter);
      return store.feeds([rows]);
    },
    load: (name, group, given) => {
      const variables = () => {
        const values = typeof given === 'function' ? given() : given;
        checkVariables(shapesOf(group), values, name);
        return values;
      };
      if (typeof given !== 'function') variables();
      known.set(name, { name, group, variables });
    },
    unload: (name) => {
      known.delete(name);
    },
  };
  return store;
}

function rolesByPath(config: ModelShape, adapter: Adapter): Map<string, string[]> {
  const roles = new Map<string, string[]>();
  for (const name of adapterShapes(config, adapter).keys()) {
    const path = name.slice(0, name.lastIndexOf('.'));
    roles.set(path, [...(roles.get(path) ?? []), roleOf(name)]);
  }
  return roles;
}

function checkVariables(
  shapes: ReadonlyMap<string, number[]>,
  variables: ReadonlyMap<string, HostTensor>,
  adapter: string,
): void {
  for (const name of new Set([...shapes.keys(), ...variables.keys()])) {
    const [wanted, given] = [shapes.get(name), variables.get(name)?.shape];
    if (wanted?.join() === given?.join()) continue;
    if (wanted === undefined && isWhole(name, shapes)) throw wholeModule(name, adapter);
    const describe = (shape: readonly number[] | undefined) =>
      shape === undefined ? 'nothing' : `[${shape.join(', ')}]`;
    throw new AppError(
      'invalid_value',
      `Adapter ${adapter} has ${describe(given)} as ${name}, its group takes ${describe(wanted)}.`,
      { param: name, hint: 'Adapters of a group have one method, rank and set of layers.' },
    );
  }
}

/** Whether a name is that of a weight itself, and no role of a method in the group. */
function isWhole(name: string, shapes: ReadonlyMap<string, number[]>): boolean {
  const role = roleOf(name);
  return ['weight', 'bias'].includes(role) && ![...shapes.keys()].some((known) => roleOf(known) === role);
}

const wholeModule = (name: string, adapter: string): AppError =>
  new AppError('invalid_value', `Adapter ${adapter} brings its own ${name}, trained whole (modules_to_save).`, {
    param: name,
    hint: 'A row holds the weights of a method beside one base. Generate from the merged model of this adapter instead.',
  });

function notResident(adapter: string, names: readonly string[]): AppError {
  return new AppError('invalid_value', `There is no adapter '${adapter}'.`, {
    param: 'adapter',
    hint: names.length === 0 ? 'None is loaded.' : `There are ${names.join(', ')}.`,
  });
}
