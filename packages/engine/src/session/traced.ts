import { traceBackend } from '../graph/backend.js';
import { type Entry, Graph } from '../graph/graph.js';
import { typed } from '../graph/kernel.js';
import { loadTf, type Tf } from '../load.js';
import type { Tensor } from '../raw-ops.js';
import { checkFeeds, checkWrite, signatureOf, variableOf } from './check-feeds.js';
import { firstValues } from './first-values.js';
import { runError } from './run-errors.js';
import { loadGraph, type Predict } from './saved-model.js';
import { traceError, withDeepStacks } from './trace-errors.js';
import { type Handles, tracedScope } from './traced-scope.js';
import { pack, readGroup, type TransferGroup, transferGroups, unpack, writeGroup } from './transfer.js';
import type { Feed, FeedValue, FetchedValue, HostTensor, NumericMode, Program, Session, Signature } from './types.js';

type TracedMode = Exclude<NumericMode, 'eager'>;

/** Traces a program's signatures into one TensorFlow graph, loads it, and gives the variables their first values. */
export async function tracedSession(program: Program, mode: TracedMode): Promise<Session> {
  const tf = loadTf();
  const begun = performance.now();
  const graph = new Graph();
  const handles = addVariables(graph, program, mode);
  for (const [name, signature] of Object.entries(program.signatures)) {
    traceSignature(graph, program, handles, name, signature, mode);
  }
  const internal = addInternal(graph, program, handles);
  const traced = performance.now();
  const loaded = await loadGraph(graph, [...Object.keys(program.signatures).map(publicName), ...internal.names]);
  const loadedAt = performance.now();
  const clock = { runMs: 0 };
  const call = caller(tf, loaded.predict, clock);
  try {
    call(initName, { zero: { shape: [1], dtype: 'int32' } }, { zero: 0 }, 'first values');
  } catch (error) {
    loaded.dispose();
    throw error;
  }
  const timings = {
    traceMs: traced - begun,
    loadMs: loadedAt - traced,
    initMs: performance.now() - loadedAt,
    nodes: graph.size,
    get runMs() {
      return clock.runMs;
    },
  };

  const readGroupOf = (index: number): Float32Array => call(`read/${index}`, {}, {}, 'read').flat as Float32Array;
  const groupsOf = (names: Iterable<string>): Set<number> =>
    new Set(Array.from(names, (name) => internal.groupOf.get(name) ?? 0));
  return {
    mode,
    timings,
    run: (name, values) => {
      const signature = signatureOf(program, name);
      checkFeeds(name, signature, values);
      return call(publicName(name), signature.feeds, values, name);
    },
    read: (names) => {
      for (const name of names) variableOf(program, name);
      const wanted = new Set(names);
      const found = new Map<string, HostTensor>();
      for (const index of groupsOf(names)) {
        const group = internal.groups[index] as TransferGroup;
        for (const [name, tensor] of unpack(program, group, readGroupOf(index), wanted)) found.set(name, tensor);
      }
      return new Map(names.map((name) => [name, found.get(name) as HostTensor]));
    },
    write: (values) => {
      for (const [name, tensor] of values) checkWrite(program, name, tensor);
      for (const index of groupsOf(values.keys())) {
        const group = internal.groups[index] as TransferGroup;
        const isWhole = group.names.every((name) => values.has(name));
        const flat = pack(program, group, isWhole ? new Float32Array(group.size) : readGroupOf(index), values);
        call(`write/${index}`, { flat: { shape: [group.size], dtype: 'float32' } }, { flat }, 'write');
      }
    },
    dispose: loaded.dispose,
  };
}

const initName = 'init';
const publicName = (name: string): string => `run/${name}`;

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

function placeholder(graph: Graph, name: string, shape: readonly number[], dtype: Entry['dtype']): Entry {
  return graph.one('Placeholder', [], { dtype: typed(dtype), shape: { shape } }, shape, dtype, { name });
}

/** Outputs that a call brings back, each waiting for all updates: the binding cannot run what it does not fetch. */
function finishSignature(
  graph: Graph,
  name: string,
  node: string,
  inputs: Map<string, Entry>,
  outputs: Map<string, Entry>,
  updates: readonly string[],
): void {
  graph.add('NoOp', [], {}, [], { name: `${node}.done`, after: updates });
  const fetched = [...outputs].map(([key, entry], i): [string, Entry] => {
    const options = { name: `${node}.out${i}`, after: [`${node}.done`] };
    return [key, graph.one('Identity', [entry], { T: typed(entry.dtype) }, entry.shape, entry.dtype, options)];
  });
  if (fetched.length === 0) {
    const done = graph.one('Identity', [graph.scalar(0)], { T: typed('int32') }, [], 'int32', {
      name: `${node}.end`,
      after: [`${node}.done`],
    });
    fetched.push(['', done]);
  }
  graph.signature(name, inputs, new Map(fetched));
}

function traceSignature(
  graph: Graph,
  program: Program,
  handles: Handles,
  name: string,
  signature: Signature,
  mode: TracedMode,
): void {
  const backend = traceBackend();
  const node = `s${graph.size}`;
  graph.startSection();
  try {
    withDeepStacks(() =>
      backend.trace(graph, () => {
        const feeds = new Map(
          Object.entries(signature.feeds).map(([key, { shape, dtype }], i) => [
            key,
            placeholder(graph, `${node}.in${i}`, shape, dtype),
          ]),
        );
        const scope = tracedScope(graph, backend, program, handles);
        const tensors = Object.fromEntries([...feeds].map(([key, entry]) => [key, backend.tensor(entry)]));
        const outputs = signature.build(tensors, scope);
        const entries = new Map(Object.entries(outputs).map(([key, tensor]) => [key, backend.entry(tensor)]));
        finishSignature(graph, publicName(name), node, feeds, entries, scope.finish());
      }),
    );
  } catch (error) {
    throw traceError(error, name);
  }
  if (mode === 'xla' && signature.isCompiled !== false) {
    graph.markSection({ _XlaCompile: { bool: true }, _XlaScope: { string: name } });
  }
}

interface Internal {
  names: string[];
  groups: TransferGroup[];
  groupOf: Map<string, number>;
}

/** Signatures of the session's own: first values, and reading and writing of variables. */
function addInternal(graph: Graph, program: Program, handles: Handles): Internal {
  graph.startSection();
  const zero = placeholder(graph, 'init.zero', [1], 'int64');
  finishSignature(
    graph,
    initName,
    'init',
    new Map([['zero', zero]]),
    new Map(),
    firstValues(graph, program, handles, zero),
  );
  const groups = transferGroups(program);
  const names = [initName];
  for (const [i, group] of groups.entries()) {
    const flat = placeholder(graph, `write${i}.flat`, [group.size], 'float32');
    finishSignature(
      graph,
      `read/${i}`,
      `read${i}`,
      new Map(),
      new Map([['flat', readGroup(graph, program, handles, group)]]),
      [],
    );
    finishSignature(
      graph,
      `write/${i}`,
      `write${i}`,
      new Map([['flat', flat]]),
      new Map(),
      writeGroup(graph, program, handles, group, flat),
    );
    names.push(`read/${i}`, `write/${i}`);
  }
  const groupOf = new Map(groups.flatMap(({ names: members }, i) => members.map((name) => [name, i] as const)));
  return { names, groups, groupOf };
}

type Call = (
  signature: string,
  feeds: Readonly<Record<string, Feed>>,
  values: Readonly<Record<string, FeedValue>>,
  calledAs: string,
) => Record<string, FetchedValue>;

/** Uploads the feeds, runs, brings the outputs to the host, and frees everything. */
function caller(tf: Tf, predict: (signature: string) => Predict, clock: { runMs: number }): Call {
  return (signature, feeds, values, calledAs) => {
    const tensors: Record<string, Tensor> = {};
    for (const [key, { shape, dtype }] of Object.entries(feeds)) {
      const value = values[key] ?? 0;
      tensors[key] = tf.tensor(typeof value === 'number' ? [value] : value, [...shape], dtype);
    }
    let outputs: Record<string, Tensor> = {};
    const begun = performance.now();
    try {
      outputs = predict(signature)(tensors);
      const fetched: Record<string, FetchedValue> = {};
      for (const [key, tensor] of Object.entries(outputs))
        if (key !== '') fetched[key] = tensor.dataSync() as FetchedValue;
      return fetched;
    } catch (error) {
      throw runError(error, calledAs);
    } finally {
      clock.runMs += performance.now() - begun;
      tf.dispose(tensors);
      tf.dispose(outputs);
    }
  };
}
