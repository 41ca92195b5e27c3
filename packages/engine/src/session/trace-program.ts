import { traceBackend } from '../graph/backend.js';
import { type Entry, Graph } from '../graph/graph.js';
import { typed } from '../graph/kernel.js';
import { firstValues } from './first-values.js';
import { othersTurn } from './others-turn.js';
import { traceError, withDeepStacks } from './trace-errors.js';
import { tracedScope } from './traced-scope.js';
import { type Handles, TracedState } from './traced-state.js';
import { readGroups, type TransferGroup, transferGroups, writeGroups } from './transfer.js';
import type { Feeds, NumericMode, Program, Signature } from './types.js';

export type TracedMode = Exclude<NumericMode, 'eager'>;

/** What a call of a signature takes and gives. */
export interface CallShape {
  feeds: Feeds;
  outputs: readonly string[];
}

/** A program as one graph, ready to be loaded. */
export interface TracedProgram {
  graph: Graph;
  /** All signatures but `first` by the name that they have in the graph. */
  calls: ReadonlyMap<string, CallShape>;
  /** How variables travel to and from the host. */
  groups: readonly TransferGroup[];
}

/** Names in the graph: of a program's own signature, and of the session's. */
export const callNames = {
  program: (name: string): string => `run/${name}`,
  first: 'first',
  read: 'read',
  write: 'write',
};

/** Feed of those that move variables: the group's number. */
export const groupFeed = 'group';
/** Feed and output of those that move variables: a group's numbers end to end. */
export const flatName = 'flat';

/**
 * Traces every signature of a program, and adds those that set, read and write variables. Between two signatures others get their turn: tracing takes a
 * second or more, in which answers of another session would wait.
 * @throws EngineError `kernel_unregistered`, `eager_tensor_captured` and others, naming signature and place; `weights_unreadable`.
 */
export async function traceProgram(program: Program, mode: TracedMode): Promise<TracedProgram> {
  const graph = new Graph();
  const calls = new Map<string, CallShape>();
  const handles = addVariables(graph, program, mode);
  const inPlace = new Set<string>();
  for (const [name, signature] of Object.entries(program.signatures)) {
    const outputs = traceSignature(graph, program, handles, name, signature, mode, inPlace);
    calls.set(callNames.program(name), { feeds: signature.feeds, outputs });
    await othersTurn();
  }
  graph.startSection();
  addFirstValues(graph, program, handles, inPlace);
  const groups = transferGroups(program);
  addTransfer(graph, program, handles, calls, groups);
  return { graph, calls, groups };
}

function addVariables(graph: Graph, program: Program, mode: TracedMode): Handles {
  return new Map(
    [...program.variables].map(([name, { shape, isFrozen }], i) => {
      const dtype = mode === 'bf16' && isFrozen && shape.length === 2 ? 'bfloat16' : 'float32';
      const attributes = {
        dtype: typed(dtype),
        shape: { shape },
        shared_name: { string: name },
        container: { string: '' },
      };
      return [name, graph.one('VarHandleOp', [], attributes, shape, dtype, { name: `variable${i}` })];
    }),
  );
}

function traceSignature(
  graph: Graph,
  program: Program,
  handles: Handles,
  name: string,
  signature: Signature,
  mode: TracedMode,
  inPlace: Set<string>,
): string[] {
  const backend = traceBackend();
  const node = `s${graph.size}`;
  const isCompiled = mode === 'xla' && signature.isCompiled !== false;
  graph.startSection();
  let outputs: string[] = [];
  try {
    withDeepStacks(() =>
      backend.trace(graph, () => {
        const feeds = new Map(
          Object.entries(signature.feeds).map(([key, { shape, dtype }], i) => [
            key,
            placeholder(graph, `${node}.in${i}`, shape, dtype),
          ]),
        );
        const state = new TracedState(graph, backend, program, handles);
        const scope = tracedScope(state, { isCompiled, inPlace });
        const tensors = Object.fromEntries([...feeds].map(([key, entry]) => [key, backend.tensor(entry)]));
        const built = Object.entries(signature.build(tensors, scope));
        const entries = new Map(built.map(([key, tensor]) => [key, backend.entry(tensor)]));
        outputs = [...entries.keys()];
        finish(graph, callNames.program(name), node, feeds, entries, state.finish());
      }),
    );
  } catch (error) {
    throw traceError(error, name);
  }
  if (isCompiled) {
    graph.markSection({ _XlaCompile: { bool: true }, _XlaScope: { string: name } });
  }
  return outputs;
}

function addFirstValues(graph: Graph, program: Program, handles: Handles, inPlace: ReadonlySet<string>): void {
  const zero = placeholder(graph, 'first.zero', [1], 'int64');
  const updates = firstValues(graph, program, handles, zero, inPlace);
  finish(graph, callNames.first, 'first', new Map([['zero', zero]]), new Map(), updates);
}

function addTransfer(
  graph: Graph,
  program: Program,
  handles: Handles,
  calls: Map<string, CallShape>,
  groups: readonly TransferGroup[],
): void {
  if (groups.length === 0) return;
  const { read, write } = callNames;
  const number = { shape: [], dtype: 'int32' } as const;
  const from = placeholder(graph, 'read.group', [], 'int32');
  const value = readGroups(graph, program, handles, groups, from);
  finish(graph, read, 'read', new Map([[groupFeed, from]]), new Map([[flatName, value]]), []);
  calls.set(read, { feeds: { [groupFeed]: number }, outputs: [flatName] });

  const to = placeholder(graph, 'write.group', [], 'int32');
  const flat = placeholder(graph, 'write.flat', [-1], 'float32');
  const inputs = new Map([
    [groupFeed, to],
    [flatName, flat],
  ]);
  finish(
    graph,
    write,
    'write',
    inputs,
    new Map([['done', writeGroups(graph, program, handles, groups, to, flat)]]),
    [],
  );
  calls.set(write, { feeds: { [groupFeed]: number, [flatName]: { shape: [-1], dtype: 'float32' } }, outputs: [] });
}

function placeholder(graph: Graph, name: string, shape: readonly number[], dtype: Entry['dtype']): Entry {
  return graph.one('Placeholder', [], { dtype: typed(dtype), shape: { shape } }, shape, dtype, { name });
}

/**
 * Names what a call brings back. Each output waits for all updates, because the binding runs only what it fetches; a call without outputs
 * fetches a constant that does.
 */
function finish(
  graph: Graph,
  name: string,
  node: string,
  inputs: ReadonlyMap<string, Entry>,
  outputs: ReadonlyMap<string, Entry>,
  updates: readonly string[],
): void {
  const done = `${node}.done`;
  graph.add('NoOp', [], {}, [], { name: done, after: updates });
  const wanted: [string, Entry][] = outputs.size > 0 ? [...outputs] : [['done', graph.scalar(0)]];
  const fetched = wanted.map(([key, entry], i): [string, Entry] => {
    const options = { name: `${node}.out${i}`, after: [done] };
    return [key, graph.one('Identity', [entry], { T: typed(entry.dtype) }, entry.shape, entry.dtype, options)];
  });
  graph.signature(name, inputs, new Map(fetched));
}
