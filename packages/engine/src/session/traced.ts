import { decode, encode } from '../dtype.js';
import { EngineError, invariant } from '../error.js';
import { loadTf } from '../load.js';
import type { Tensor } from '../raw-ops.js';
import { checkFeeds, checkWanted, checkWrite, signatureOf, variableOf } from './check-feeds.js';
import { readSlice } from './read-slice.js';
import { runError } from './run-errors.js';
import { type LoadedGraph, loadGraph } from './saved-model.js';
import { type CallShape, callNames, flatName, groupFeed, type TracedMode, traceProgram } from './trace-program.js';
import { pack, type TransferGroup, travels, unpack } from './transfer.js';
import type { FeedValue, FetchedValue, HostTensor, Program, Session } from './types.js';

/** Traces a program's signatures into one TensorFlow graph, loads it, and gives the variables their first values. */
export async function tracedSession(program: Program, mode: TracedMode): Promise<Session> {
  loadTf();
  const begun = performance.now();
  const { graph, calls, groups } = await traceProgram(program, mode);
  const traced = performance.now();
  const loaded = await loadGraph(graph, callNames.first);
  const clock = { runMs: 0 };
  const call = caller(loaded, calls, clock);
  const timings = {
    traceMs: traced - begun,
    loadMs: performance.now() - traced - loaded.firstMs,
    initMs: loaded.firstMs,
    nodes: graph.size,
    get runMs() {
      return clock.runMs;
    },
  };
  return {
    mode,
    timings,
    run: (name, values, wanted) => {
      checkFeeds(name, signatureOf(program, name), values);
      return call(callNames.program(name), values, name, wanted);
    },
    ...transfers(program, mode, groups, call),
    dispose: loaded.dispose,
  };
}

/** How variables come to the host and go back: a group a call. */
function transfers(
  program: Program,
  mode: TracedMode,
  groups: readonly TransferGroup[],
  call: Call,
): Pick<Session, 'read' | 'write'> {
  const groupOf = new Map(groups.flatMap(({ names }, i) => names.map((name) => [name, i] as const)));
  const groupsOf = (names: Iterable<string>) => {
    const indices = new Set(Array.from(names, (name) => groupOf.get(name) ?? -1));
    return groups.map((group, index) => ({ group, index })).filter(({ index }) => indices.has(index));
  };
  const readFlat = (index: number): Float32Array =>
    call(callNames.read, { [groupFeed]: index }, 'read')[flatName] as Float32Array;
  return {
    read: (names) => {
      for (const name of names) variableOf(program, name);
      const wanted = new Set(names);
      const travelled = new Map<string, HostTensor>();
      for (const { group, index } of groupsOf(names)) {
        for (const [name, tensor] of unpack(program, group, readFlat(index), wanted)) travelled.set(name, tensor);
      }
      return new Map(names.map((name) => [name, travelled.get(name) ?? fromFile(program, name, mode)]));
    },
    write: (values) => {
      for (const [name, tensor] of values) {
        checkWrite(program, name, tensor);
        if (!travels(variableOf(program, name))) throw fixed(name);
      }
      for (const { group, index } of groupsOf(values.keys())) {
        const isWhole = group.names.every((name) => values.has(name));
        const flat = pack(program, group, isWhole ? new Float32Array(group.size) : readFlat(index), values);
        call(callNames.write, { [groupFeed]: index, [flatName]: flat }, 'write');
      }
    },
  };
}

/** A large frozen matrix as its variable holds it. */
function fromFile(program: Program, name: string, mode: TracedMode): HostTensor {
  const { shape, from } = variableOf(program, name);
  invariant(from !== undefined, `variable ${name} belongs to no group and to no file`);
  const data = readSlice(from);
  if (mode !== 'bf16' || shape.length !== 2) return { shape: [...shape], data };
  const { buffer, byteOffset, byteLength } = encode('BF16', data);
  const rounded = decode('BF16', buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer);
  return { shape: [...shape], data: rounded as Float32Array };
}

const fixed = (name: string): EngineError =>
  new EngineError(
    'bad_feed',
    `Variable '${name}' is frozen and has its values from a file; it cannot be written.`,
    'Name another file when the program is made.',
  );

type Call = (
  signature: string,
  values: Readonly<Record<string, FeedValue>>,
  /** The caller's name for it, in errors. */
  calledAs: string,
  /** Its outputs that are brought; absent: all. */
  wanted?: readonly string[],
) => Record<string, FetchedValue>;

/** Uploads the feeds, runs, brings the outputs to the host, and frees everything. */
function caller(loaded: LoadedGraph, calls: ReadonlyMap<string, CallShape>, clock: { runMs: number }): Call {
  const tf = loadTf();
  return (signature, values, calledAs, wanted) => {
    const shape = calls.get(signature);
    invariant(shape !== undefined, `no call ${signature}`);
    checkWanted(calledAs, shape.outputs, wanted ?? []);
    const brought = wanted ?? shape.outputs;
    const feeds: Record<string, Tensor> = {};
    for (const [key, { shape: size, dtype }] of Object.entries(shape.feeds)) {
      const value = values[key] ?? 0;
      const numbers = typeof value === 'number' ? [value] : value;
      feeds[key] = tf.tensor(numbers, size[0] === -1 ? [numbers.length] : [...size], dtype);
    }
    let outputs: Record<string, Tensor> = {};
    const begun = performance.now();
    try {
      outputs = loaded.predict(signature, feeds, brought);
      return Object.fromEntries(brought.map((key) => [key, outputs[key]?.dataSync() as FetchedValue]));
    } catch (error) {
      throw runError(error, calledAs);
    } finally {
      clock.runMs += performance.now() - begun;
      tf.dispose(feeds);
      tf.dispose(outputs);
    }
  };
}
