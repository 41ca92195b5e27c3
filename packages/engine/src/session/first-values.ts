import { statSync } from 'node:fs';
import { EngineError } from '../error.js';
import type { GraphDtype } from '../graph/attributes.js';
import type { Entry, Graph } from '../graph/graph.js';
import { INT, typed } from '../graph/kernel.js';
import type { Handles } from './traced-state.js';
import type { FileSlice, Program } from './types.js';

const fileTypes: Partial<Record<FileSlice['dtype'], { dtype: GraphDtype; bytes: number }>> = {
  F32: { dtype: 'float32', bytes: 4 },
  F16: { dtype: 'float16', bytes: 2 },
  BF16: { dtype: 'bfloat16', bytes: 2 },
  F64: { dtype: 'float64', bytes: 8 },
};

/** The files are read by the processor; the assignment moves the values to where the variable lives. */
const device = '/device:CPU:0';

/**
 * Nodes that give every variable its first value. Files are mapped into memory (ImmutableConst), one node a file; a slice of it is
 * reinterpreted as numbers and copied into the variable, so nothing passes through JavaScript and there is one copy. `zero`, int64 [1] and
 * fed as 0, is added to every offset: constant slices would be folded into the graph, and take three copies.
 */
export function firstValues(
  graph: Graph,
  program: Program,
  handles: Handles,
  zero: Entry,
  inPlace: ReadonlySet<string>,
): string[] {
  const files = new Map<string, Entry>();
  const fileOf = (path: string): Entry => {
    const known = files.get(path);
    if (known !== undefined) return known;
    const shape = [fileSize(path)];
    const attributes = { dtype: typed('uint8'), shape: { shape }, memory_region_name: { string: path } };
    const made = graph.one('ImmutableConst', [], attributes, shape, 'uint8', { device, isUnique: true });
    files.set(path, made);
    return made;
  };
  // Variables of one shape share their first zeros; what updates one of them makes its own copy, unless it writes in place.
  const none = graph.reshape(graph.cast(zero, 'float32'), []);
  return [...program.variables].map(([name, { shape, from }]) => {
    const handle = handles.get(name) as Entry;
    const fill = { T: typed(handle.dtype), index_type: INT };
    const zeros = (): Entry => {
      const shared = graph.one('Fill', [graph.ints(shape), graph.cast(none, handle.dtype)], fill, shape, handle.dtype);
      if (!inPlace.has(name)) return shared;
      return graph.one('DeepCopy', [shared], { T: typed(handle.dtype) }, shape, handle.dtype, { isUnique: true });
    };
    const value = from === undefined ? zeros() : fromFile(graph, fileOf(from.path), from, shape, handle.dtype, zero);
    const node = `first${graph.size}`;
    graph.add('AssignVariableOp', [handle, value], { dtype: typed(handle.dtype) }, [], { name: node });
    return node;
  });
}

function fromFile(
  graph: Graph,
  file: Entry,
  slice: FileSlice,
  shape: readonly number[],
  wanted: GraphDtype,
  zero: Entry,
): Entry {
  const type = fileTypes[slice.dtype];
  if (type === undefined) {
    throw new EngineError(
      'weights_unreadable',
      `${slice.path} holds ${slice.dtype} where weights belong.`,
      'Use a floating type.',
    );
  }
  const count = shape.reduce((product, size) => product * size, 1);
  if (slice.offset + slice.bytes > (file.shape[0] ?? 0) || slice.bytes !== count * type.bytes) {
    throw new EngineError(
      'weights_unreadable',
      `${slice.path}: ${slice.bytes} bytes at ${slice.offset} are not ${slice.dtype} [${shape.join(', ')}] of a file of ${file.shape[0]}.`,
      'Fetch the file again.',
    );
  }
  const long = { T: typed('int64') };
  const begin = graph.one('AddV2', [zero, graph.constant([slice.offset], [1], 'int64')], long, [1], 'int64', {
    device,
  });
  const size = graph.constant([slice.bytes], [1], 'int64');
  const bytes = graph.one(
    'Slice',
    [file, begin, size],
    { T: typed('uint8'), Index: typed('int64') },
    [slice.bytes],
    'uint8',
    { device },
  );
  const rows = [...shape, type.bytes];
  const grouped = graph.one('Reshape', [bytes, graph.ints(rows)], { T: typed('uint8'), Tshape: INT }, rows, 'uint8', {
    device,
  });
  const numbers = graph.one('Bitcast', [grouped], { T: typed('uint8'), type: typed(type.dtype) }, shape, type.dtype, {
    device,
  });
  if (type.dtype === wanted)
    return graph.one('DeepCopy', [numbers], { T: typed(wanted) }, shape, wanted, { device, isUnique: true });
  const attributes = { SrcT: typed(type.dtype), DstT: typed(wanted), Truncate: { bool: false } };
  return graph.one('Cast', [numbers], attributes, shape, wanted, { device });
}

function fileSize(path: string): number {
  try {
    return statSync(path).size;
  } catch (cause) {
    throw new EngineError('weights_unreadable', `${path} cannot be read.`, 'Fetch the file again.', { cause });
  }
}
