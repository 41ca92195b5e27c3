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
import type { Net } from '../net.js';
import type { AdapterFeeds } from './options.js';

/**
 * Several adapters resident beside one base, chosen by call without tracing again. Adapters of one method, with equal options and layers,
 * make a group. Each variable of a group holds those of all its slots, [1 + slots, …], and a call feeds which slot of every group answers.
 * Slot 0 stays all zeros, which for most methods is the base alone; for the others a slot 0 is left out by a factor of 0.
 */
export interface AdapterGroup {
  adapter: Adapter;
  /** How many adapters have room at a time. */
  slots: number;
}

const FEED = 'adapterSlots';

/** What signatures over `adapterSlotNet` take besides: `adapterSlots` int32 [groups]. */
export function adapterSlotFeeds(groups: readonly AdapterGroup[]): Record<string, Feed> {
  return groups.length === 0 ? {} : { [FEED]: { shape: [groups.length], dtype: 'int32' } };
}

/** The stacked variables of all groups, `adapters.<group>.<path>.<role>`, zeros at the start. */
export function adapterSlotVariables(config: ModelShape, groups: readonly AdapterGroup[]): Map<string, VariableSpec> {
  return new Map(
    groups.flatMap(({ slots }, group) =>
      [...groupShapes(config, groups, group)].map(([name, shape]) => [
        stackName(group, name),
        { shape: [1 + slots, ...shape] },
      ]),
    ),
  );
}

/** A net that adds to `base` what the fed slot of each group holds. */
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
  const layers = groups.map(({ adapter }, group) => {
    const slot = tf.reshape(tf.slice(chosen, [group], [1]), []);
    return { adapter, roles: rolesByPath(config, groups, group), slot, group };
  });
  const net: Net = {
    ...base,
    linears: (paths, x) => paths.map((path) => net.linear(path, x)),
    linear: (path, x) => {
      let y = base.linear(path, x);
      for (const { adapter, roles, slot, group } of layers) {
        const own = roles.get(path);
        if (own === undefined) continue;
        const read = (role: string) => gatherRows(scope.read(stackName(group, `${path}.${role}`)), slot);
        const variables = Object.fromEntries(own.map((role) => [role, read(role)]));
        y = adapted(adapter, x, base.get(`${path}.weight`), y, { slot, variables }, () => base.linear(path, x));
      }
      return y;
    },
  };
  return net;
}

/** What a layer gives with a group's adapter beside what the groups before it added to the base. */
function adapted(
  { method }: Adapter,
  x: Tensor,
  weight: Tensor,
  y: Tensor,
  { slot, variables }: { slot: Tensor; variables: Readonly<Record<string, Tensor>> },
  base: () => Tensor,
): Tensor {
  if (!method.ignoresY0 && !method.needsValues) return method.apply(x, weight, y, variables);
  const tf = loadTf();
  const y0 = base();
  const update = tf.sub(method.apply(x, weight, y0, variables), y0) as Tensor;
  return tf.add(y, method.needsValues ? tf.mul(update, tf.cast(tf.greater(slot, 0), 'float32')) : update);
}

/** Which adapters are resident in a session. */
export interface AdapterSlots {
  /** What a call feeds for one of them, or for none, to answer. @throws AppError `invalid_value` for an unknown name. */
  feeds: AdapterFeeds;
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
  return {
    names: () => [...resident.keys()],
    feeds: (adapter) => {
      const slots = new Int32Array(groups.length);
      const place = adapter === null ? null : resident.get(adapter);
      if (place === undefined) throw notResident(adapter, [...resident.keys()]);
      if (place !== null) slots[place.group] = place.slot;
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
