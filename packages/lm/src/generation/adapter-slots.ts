import { AppError } from '@moraine/contract';
import type { ModelShape } from '@moraine/contract/plan';
import {
  type Feed,
  type FeedValue,
  gatherRows,
  invariant,
  loadTf,
  type Scope,
  type Session,
  type Tensor,
  type VariableSpec,
} from '@moraine/engine';
import { type Adapter, adapterShapes } from '../adapter.js';
import type { HostTensor } from '../host.js';
import type { Method } from '../methods/method.js';
import type { Net } from '../net.js';
import type { AdapterRows } from './options.js';

/**
 * Several adapters resident beside one base, chosen row by row without tracing again. Adapters of one method, with equal options and layers,
 * make a group. Each variable of a group holds those of all its slots, [1 + slots, …], and a pass feeds which slot of every group each row has.
 * Slot 0 stays all zeros, which is the base alone. Methods without `applyRows` have no slots.
 */
export interface AdapterGroup {
  adapter: Adapter;
  /** How many adapters have room at a time. */
  slots: number;
}

const FEED = 'adapterSlots';

/** What a signature of B rows over `adapterSlotNet` takes besides: `adapterSlots` int32 [B, groups]. */
export function adapterSlotFeeds(groups: readonly AdapterGroup[], batch: number): Record<string, Feed> {
  return groups.length === 0 ? {} : { [FEED]: { shape: [batch, groups.length], dtype: 'int32' } };
}

/**
 * The stacked variables of all groups, `adapters.<group>.<path>.<role>`, zeros at the start.
 * @throws AppError `invalid_value` for a method whose adapters have no slots.
 */
export function adapterSlotVariables(config: ModelShape, groups: readonly AdapterGroup[]): Map<string, VariableSpec> {
  for (const { adapter } of groups) rowMethod(adapter);
  return new Map(
    groups.flatMap(({ slots }, group) =>
      [...groupShapes(config, groups, group)].map(([name, shape]) => [
        stackName(group, name),
        { shape: [1 + slots, ...shape] },
      ]),
    ),
  );
}

/** A net that adds to `base` what each row's slots hold: x [B*T, in] is T positions of each of the B rows that are fed. */
export function adapterSlotNet(
  base: Net,
  config: ModelShape,
  groups: readonly AdapterGroup[],
  scope: Scope,
  feeds: Readonly<Record<string, Tensor>>,
): Net {
  const tf = loadTf();
  const chosen = feeds[FEED];
  if (groups.length === 0) return base;
  invariant(chosen !== undefined, `the signature was given no feed ${FEED}`);
  const [batch = 0] = chosen.shape;
  const layers = groups.map(({ adapter }, group) => {
    const slots = tf.reshape(tf.slice(chosen, [0, group], [batch, 1]), [batch]);
    return { method: rowMethod(adapter), roles: rolesByPath(config, groups, group), slots, group };
  });
  const byRow = (x: Tensor): Tensor => tf.reshape(x, [batch, -1, x.shape[1] ?? 0]);
  const net: Net = {
    ...base,
    linears: (paths, x) => paths.map((path) => net.linear(path, x)),
    linear: (path, x) => {
      const y0 = base.linear(path, x);
      let y = y0;
      for (const { method, roles, slots, group } of layers) {
        const own = roles.get(path);
        if (own === undefined) continue;
        const read = (role: string) => gatherRows(scope.read(stackName(group, `${path}.${role}`)), slots);
        const variables = Object.fromEntries(own.map((role) => [role, read(role)]));
        y = tf.reshape(method(byRow(x), byRow(y), variables), y0.shape);
      }
      return y;
    },
  };
  return net;
}

function rowMethod({ method }: Adapter): NonNullable<Method['applyRows']> {
  if (method.applyRows !== undefined) return method.applyRows;
  throw new AppError('invalid_value', 'Adapters of this method cannot answer row by row beside one base.', {
    hint: 'Merge the adapter into weights of its own.',
  });
}

/** Which adapters are resident in a session. */
export interface AdapterSlots extends AdapterRows {
  names(): string[];
  /**
   * Puts an adapter (variables `<path>.<role>`) into a free slot of a group, or into the one that its name has already; an answer under way
   * goes on with the new one.
   * @throws AppError `conflict` when no slot is free, `invalid_value` when the variables are not those of the group.
   */
  load(name: string, group: number, variables: ReadonlyMap<string, HostTensor>): void;
  /** Frees the slot, and an answer under way fails; nothing happens when the name is not resident. */
  unload(name: string): void;
}

/** The adapters of a session whose program has `adapterSlotVariables` of the same groups. */
export function createAdapterSlots(
  session: Session,
  config: ModelShape,
  groups: readonly AdapterGroup[],
): AdapterSlots {
  const resident = new Map<string, { group: number; slot: number }>();
  const check = (adapter: string | null): void => {
    if (adapter !== null && !resident.has(adapter)) throw notResident(adapter, [...resident.keys()]);
  };
  return {
    names: () => [...resident.keys()],
    check,
    feeds: (rows) => {
      const slots = new Int32Array(rows.length * groups.length);
      for (const [row, adapter] of rows.entries()) {
        check(adapter);
        const place = adapter === null ? undefined : resident.get(adapter);
        if (place !== undefined) slots[row * groups.length + place.group] = place.slot;
      }
      const feeds: Record<string, FeedValue> = groups.length === 0 ? {} : { [FEED]: slots };
      return feeds;
    },
    load: (name, group, variables) => {
      const place = resident.get(name);
      const slot = place?.group === group ? place.slot : freeSlot(groups, group, [...resident.values()]);
      checkVariables(groupShapes(config, groups, group), variables, name);
      const stacks = session.read([...variables.keys()].map((variable) => stackName(group, variable)));
      for (const [variable, { data }] of variables)
        stacks.get(stackName(group, variable))?.data.set(data, slot * data.length);
      session.write(stacks);
      resident.set(name, { group, slot });
    },
    unload: (name) => {
      resident.delete(name);
    },
  };
}

const stackName = (group: number, name: string) => `adapters.${group}.${name}`;

/** Shape of every variable of one adapter of a group, `<path>.<role>`. */
function groupShapes(config: ModelShape, groups: readonly AdapterGroup[], group: number): Map<string, number[]> {
  const adapter = groups[group]?.adapter;
  invariant(adapter !== undefined, `there is no group ${group} of adapters among ${groups.length}`);
  return adapterShapes(config, adapter);
}

function rolesByPath(config: ModelShape, groups: readonly AdapterGroup[], group: number): Map<string, string[]> {
  const roles = new Map<string, string[]>();
  for (const name of groupShapes(config, groups, group).keys()) {
    const dot = name.lastIndexOf('.');
    const path = name.slice(0, dot);
    roles.set(path, [...(roles.get(path) ?? []), name.slice(dot + 1)]);
  }
  return roles;
}

function freeSlot(
  groups: readonly AdapterGroup[],
  group: number,
  places: readonly { group: number; slot: number }[],
): number {
  const slots = groups[group]?.slots ?? 0;
  const taken = new Set(places.filter((place) => place.group === group).map(({ slot }) => slot));
  for (let slot = 1; slot <= slots; slot++) if (!taken.has(slot)) return slot;
  throw new AppError('conflict', `All ${slots} slots of this kind of adapter are taken.`, {
    hint: 'Unload one first, or give the group more slots when the model is made.',
  });
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
  const role = name.slice(name.lastIndexOf('.'));
  return ['.weight', '.bias'].includes(role) && ![...shapes.keys()].some((known) => known.endsWith(role));
}

const wholeModule = (name: string, adapter: string): AppError =>
  new AppError('invalid_value', `Adapter ${adapter} brings its own ${name}, trained whole (modules_to_save).`, {
    param: name,
    hint: 'A slot holds the weights of a method beside one base. Generate from the merged model of this adapter instead.',
  });

function notResident(adapter: string | null, names: readonly string[]): AppError {
  return new AppError('invalid_value', `There is no adapter '${adapter}'.`, {
    param: 'adapter',
    hint: names.length === 0 ? 'None is loaded.' : `There are ${names.join(', ')}.`,
  });
}
