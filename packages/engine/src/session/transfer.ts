import { buildCases } from '../graph/choice.js';
import type { Entry, Graph } from '../graph/graph.js';
import { INT, typed } from '../graph/kernel.js';
import { sizeOf } from '../graph/sizes.js';
import type { Handles } from './traced-state.js';
import type { HostTensor, Program, VariableSpec } from './types.js';

/**
 * Variables that are brought to the host or set from it by one call: the binding is slow with hundreds of names, so small variables travel
 * end to end in one vector. A large one travels alone. One signature reads all groups and one writes them, by a number: TensorFlow takes
 * its time over the first call of each signature (80 ms at the 135M shape), and over the branches that are not taken none.
 */
export interface TransferGroup {
  names: readonly string[];
  /** Numbers in all. */
  size: number;
}

const groupBytesMax = 16 * 2 ** 20;
const aloneBytesMin = 2 ** 20;

/**
 * Whether a variable is brought to the host from the device and set from there. A large matrix that stays what its file says is read from the
 * file instead: a pair of signatures for each is a third of the time that a large base takes to load.
 */
export const travels = ({ shape, from, isFrozen }: VariableSpec): boolean =>
  from === undefined || isFrozen !== true || sizeOf(shape) * 4 < aloneBytesMin;

/** Splits the variables of a program that travel into groups, in their order. */
export function transferGroups(program: Program): TransferGroup[] {
  const groups: { names: string[]; size: number }[] = [];
  let open: { names: string[]; size: number } | undefined;
  for (const [name, variable] of program.variables) {
    if (!travels(variable)) continue;
    const size = sizeOf(variable.shape);
    if (size * 4 >= aloneBytesMin) {
      groups.push({ names: [name], size });
      continue;
    }
    if (open === undefined || (open.size + size) * 4 > groupBytesMax) {
      open = { names: [], size: 0 };
      groups.push(open);
    }
    open.names.push(name);
    open.size += size;
  }
  return groups;
}

/** Nodes that read the group that `index` counts: float32, its numbers end to end. */
export function readGroups(
  graph: Graph,
  program: Program,
  handles: Handles,
  groups: readonly TransferGroup[],
  index: Entry,
): Entry {
  const cases = groups.map((group) => () => readGroup(graph, program, handles, group));
  return buildCases(graph, index, cases, { shape: [-1], dtype: 'float32' });
}

/** Nodes that set the group that `index` counts from its numbers; the result has no meaning. */
export function writeGroups(
  graph: Graph,
  program: Program,
  handles: Handles,
  groups: readonly TransferGroup[],
  index: Entry,
  flat: Entry,
): Entry {
  const cases = groups.map((group) => () => {
    const after = writeGroup(graph, program, handles, group, flat);
    return graph.one('Identity', [graph.scalar(0)], { T: INT }, [], 'int32', { after, isUnique: true });
  });
  return buildCases(graph, index, cases, { shape: [], dtype: 'int32' });
}

function readGroup(graph: Graph, program: Program, handles: Handles, { names, size }: TransferGroup): Entry {
  const parts = names.map((name) => {
    const handle = handles.get(name) as Entry;
    const shape = program.variables.get(name)?.shape ?? [];
    const value = graph.one('ReadVariableOp', [handle], { dtype: typed(handle.dtype) }, shape, handle.dtype, {
      isUnique: true,
    });
    return graph.reshape(graph.cast(value, 'float32'), [sizeOf(shape)]);
  });
  const [first] = parts;
  if (first !== undefined && parts.length === 1) return first;
  const attributes = { N: { int: parts.length }, T: typed('float32'), Tidx: INT };
  return graph.one('ConcatV2', [...parts, graph.scalar(0)], attributes, [size], 'float32');
}

/** Returns the names of the updates. */
function writeGroup(graph: Graph, program: Program, handles: Handles, { names }: TransferGroup, flat: Entry): string[] {
  const shapes = names.map((name) => program.variables.get(name)?.shape ?? []);
  const sizes = shapes.map(sizeOf);
  // The fed buffer belongs to JavaScript, so it is copied. Parts of one buffer are fine: what updates a variable makes its own copy.
  const owned = graph.one('DeepCopy', [flat], { T: typed('float32') }, flat.shape, 'float32', { isUnique: true });
  const attributes = { num_split: { int: sizes.length }, T: typed('float32'), Tlen: INT };
  const outputs = sizes.map((size) => ({ shape: [size], dtype: 'float32' as const }));
  const parts = graph.add('SplitV', [owned, graph.ints(sizes), graph.scalar(0)], attributes, outputs);
  return names.map((name, i) => {
    const handle = handles.get(name) as Entry;
    const value = graph.cast(graph.reshape(parts[i] as Entry, shapes[i] ?? []), handle.dtype);
    const node = `write${graph.size}`;
    graph.add('AssignVariableOp', [handle, value], { dtype: typed(handle.dtype) }, [], { name: node });
    return node;
  });
}

/** One group's vector as tensors by name, copied. */
export function unpack(
  program: Program,
  { names }: TransferGroup,
  flat: Float32Array,
  wanted: ReadonlySet<string>,
): [string, HostTensor][] {
  let at = 0;
  return names.flatMap((name): [string, HostTensor][] => {
    const shape = [...(program.variables.get(name)?.shape ?? [])];
    const begin = at;
    at += sizeOf(shape);
    return wanted.has(name) ? [[name, { shape, data: flat.slice(begin, at) }]] : [];
  });
}

/** Tensors by name as one group's vector, over what is there already. */
export function pack(
  program: Program,
  { names }: TransferGroup,
  into: Float32Array,
  values: ReadonlyMap<string, HostTensor>,
): Float32Array {
  let at = 0;
  for (const name of names) {
    const data = values.get(name)?.data;
    if (data !== undefined) into.set(data, at);
    at += sizeOf(program.variables.get(name)?.shape ?? []);
  }
  return into;
}
