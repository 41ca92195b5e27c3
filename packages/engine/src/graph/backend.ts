import { invariant } from '../error.js';
import { loadTf, type Tf } from '../load.js';
import type { RawAttributes, RawOpBackend, RawOutput, Tensor } from '../raw-ops.js';
import type { GraphDtype } from './attributes.js';
import { Cells } from './cells.js';
import { buildChoice } from './choice.js';
import type { Entry, Graph } from './graph.js';
import { allKernels } from './kernels/all.js';
import { bfloat16Op } from './low-precision.js';
import { registerKernels } from './register-kernels.js';
import { createStore } from './store.js';

/**
 * What this copy of the module is called among tfjs's backends. tfjs is one in a process, and this module may be there twice (two versions of the package, a test that
 * loads modules anew): under one name the kernels of the second would look for tensors that the first one's backend holds.
 */
function freeName(tf: Tf): string {
  let copy = 0;
  while (tf.findBackendFactory(`moraine-trace-${copy}`) !== null) copy++;
  return `moraine-trace-${copy}`;
}

/** A tfjs backend whose kernels append nodes to a graph instead of computing. */
export interface TraceBackend extends RawOpBackend {
  /** Traces what `build` does into a graph; tfjs's own backend is back afterwards, also when `build` throws. */
  trace<T>(graph: Graph, build: () => T): T;
  /** A tensor whose value is an entry's. */
  tensor(entry: Entry): Tensor;
  /** The entry of a tensor, whatever its type. */
  entry(tensor: Tensor): Entry;
}

let instance: TraceBackend | undefined;

/** The tracing backend of this process, registered with tfjs at first use. */
export function traceBackend(): TraceBackend {
  instance ??= createBackend(loadTf());
  return instance;
}

function createBackend(tf: Tf): TraceBackend {
  const cells = new Cells();
  const name = freeName(tf);
  const tensor = (entry: Entry): Tensor =>
    tf.engine().makeTensorFromTensorInfo(cells.made(entry) as never) as unknown as Tensor;
  const backend = Object.assign(createStore(tf, cells), rawOperations(cells, tensor), {
    tensor,
    entry: (x: Tensor) => cells.entry(x.dataId),
    trace: <T>(graph: Graph, build: () => T): T => traceInto(graph, build, tf, cells, name),
  });
  tf.registerBackend(name, () => backend, 0);
  registerKernels(tf, name, allKernels, cells);
  return backend;
}

function traceInto<T>(graph: Graph, build: () => T, tf: Tf, cells: Cells, backendName: string): T {
  cells.open(graph);
  const before = tf.getBackend();
  try {
    // The backend's factory is synchronous, so the switch is as well.
    void tf.setBackend(backendName);
    invariant(tf.getBackend() === backendName, 'the tracing backend could not be activated');
    let result: T | undefined;
    tf.tidy(() => {
      result = build();
    });
    return result as T;
  } finally {
    cells.close();
    void tf.setBackend(before);
  }
}

/** The operations that tfjs has no kernels for. */
function rawOperations(cells: Cells, tensor: (entry: Entry) => Tensor): RawOpBackend {
  const entryOf = ({ dataId }: Tensor): Entry => cells.entry(dataId);
  return {
    rawOp: (name: string, attributes: RawAttributes, inputs: Tensor[], outputs: RawOutput[]) => {
      cells.current = name;
      const entries = inputs.map(entryOf);
      if (entries.some(({ dtype }) => dtype === 'bfloat16')) {
        const low = bfloat16Op(cells.graph, name, attributes, entries, outputs);
        if (low !== undefined) return [tensor(low)];
      }
      const checked = inputs.map(({ dataId }) => cells.operand(dataId));
      const specs = outputs as { shape: number[]; dtype: GraphDtype }[];
      return cells.graph.add(name, checked, attributes, specs).map(tensor);
    },
    choose: (pred, inputs, whenTrue, whenFalse) => {
      const side = (build: typeof whenTrue) => (switched: Entry[]) => build(switched.map(tensor)).map(entryOf);
      const entries = inputs.map(entryOf);
      const flag = cells.operand(pred.dataId);
      return buildChoice(cells.graph, flag, entries, side(whenTrue), side(whenFalse)).map(tensor);
    },
    isLowPrecision: (x) => entryOf(x).dtype === 'bfloat16',
    after: (x, dependency) => {
      const [entry, other] = [entryOf(x), entryOf(dependency)];
      const options = { after: [other.ref.split(':', 1)[0] ?? ''], isUnique: true };
      return tensor(
        cells.graph.one('Identity', [entry], { T: { type: entry.dtype } }, entry.shape, entry.dtype, options),
      );
    },
  };
}
