import type { DataType, TensorInfo } from '@tensorflow/tfjs';
import { EngineError, InvariantError, invariant } from '../error.js';
import { loadTf, type Tf } from '../load.js';
import type { RawAttributes, RawOpBackend, RawOutput, Tensor } from '../raw-ops.js';
import type { GraphDtype } from './attributes.js';
import { buildChoice } from './choice.js';
import type { Entry, Graph } from './graph.js';
import type { KernelCall, Kernels } from './kernel.js';
import { allKernels } from './kernels/all.js';
import { bfloat16Op } from './low-precision.js';

const backendName = 'moraine-trace';

type Values = Float32Array | Int32Array | Uint8Array;

/** What the tracing backend keeps for a tensor: its entry, or numbers that become a constant when something uses them. */
interface Cell {
  entry?: Entry;
  values?: Values;
  shape: number[];
  dtype: DataType;
  references: number;
}

/** A tfjs backend whose kernels append nodes to a graph instead of computing. */
export interface TraceBackend extends RawOpBackend {
  /** Traces what `build` does into a graph; tfjs's own backend is back afterwards, also when `build` throws. */
  trace<T>(graph: Graph, build: () => T): T;
  /** A tensor that stands for an entry. */
  tensor(entry: Entry): Tensor;
  /** The entry that a tensor stands for, whatever its type. */
  entry(tensor: Tensor): Entry;
  /** The operation that is being added, for error messages. */
  readonly current: string;
}

let instance: TraceBackend | undefined;

/** The tracing backend of this process, registered with tfjs at first use. */
export function traceBackend(): TraceBackend {
  instance ??= createBackend(loadTf());
  return instance;
}

function createBackend(tf: Tf): TraceBackend {
  // A map of its own: tfjs's DataStorage would move (and so destroy) an eager tensor that is touched inside a trace.
  const cells = new Map<object, Cell>();
  let open: Graph | undefined;
  let current = '';

  const graphOf = (): Graph => {
    invariant(open !== undefined, 'no graph is being traced');
    return open;
  };
  const cellOf = (dataId: object): Cell => {
    const cell = cells.get(dataId);
    if (cell !== undefined) return cell;
    throw new EngineError(
      'eager_tensor_captured',
      `${current || 'An operation'} was given a tensor that was made outside the signature.`,
      'Make it a feed or a variable, or make it inside the signature by operations.',
    );
  };
  const entryOf = (dataId: object): Entry => {
    const cell = cellOf(dataId);
    cell.entry ??= graphOf().constant(cell.values ?? [], cell.shape, cell.dtype as GraphDtype);
    return cell.entry;
  };
  /** Kernels see float32 entries only: what is kept in bfloat16 goes through the operations that know how. */
  const operand = (dataId: object): Entry => {
    const entry = entryOf(dataId);
    if (entry.dtype !== 'bfloat16') return entry;
    throw new EngineError(
      'unsupported_in_mode',
      `${current} was given a weight that is kept in bfloat16.`,
      'In mode bf16 frozen matrices may be used by matMul2d and gatherRows only; use another mode or those operations.',
    );
  };
  const made = (entry: Entry): TensorInfo & { dtype: DataType } => {
    const dataId = {};
    const dtype = (entry.dtype === 'bfloat16' ? 'float32' : entry.dtype) as DataType;
    cells.set(dataId, { entry, shape: [...entry.shape], dtype, references: 1 });
    return { dataId, shape: [...entry.shape], dtype };
  };
  const tensor = (entry: Entry): Tensor =>
    tf.engine().makeTensorFromTensorInfo(made(entry) as never) as unknown as Tensor;

  class Backend extends tf.KernelBackend {
    override write(values: unknown, shape: number[], dtype: DataType): object {
      const dataId = {};
      cells.set(dataId, { values: values as Values, shape: [...shape], dtype, references: 1 });
      return dataId;
    }
    override move(): void {
      throw new InvariantError('an eager tensor cannot be moved into a graph');
    }
    override readSync(dataId: object): never {
      const { values } = cellOf(dataId);
      if (values !== undefined) return values as never;
      throw new EngineError(
        'value_read_in_trace',
        'The value of a tensor was read inside a signature (dataSync, arraySync, print …), where it has none.',
        'Return the tensor as an output and read it after the call; choose() takes one of two ways by a tensor’s value.',
      );
    }
    override read(dataId: object): Promise<never> {
      return Promise.resolve().then(() => this.readSync(dataId));
    }
    override numDataIds(): number {
      return cells.size;
    }
    override refCount(dataId: object): number {
      return cells.get(dataId)?.references ?? 0;
    }
    override incRef(dataId: object): void {
      cellOf(dataId).references++;
    }
    override disposeData(dataId: object, force = false): boolean {
      const cell = cells.get(dataId);
      if (cell === undefined) return true;
      if (--cell.references > 0 && !force) return false;
      return cells.delete(dataId);
    }
    override memory(): { unreliable: boolean } {
      return { unreliable: true };
    }
    override floatPrecision(): 32 {
      return 32;
    }
    override epsilon(): number {
      return 1e-7;
    }
    override timerAvailable(): boolean {
      return false;
    }
    override dispose(): void {
      cells.clear();
    }
  }

  const backend = Object.assign(new Backend(), {
    get current() {
      return current;
    },
    tensor,
    entry: (x: Tensor) => entryOf(x.dataId),
    trace: <T>(graph: Graph, build: () => T): T => {
      invariant(open === undefined, 'a signature cannot be traced inside another');
      const before = tf.getBackend();
      open = graph;
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
        open = undefined;
        current = '';
        void tf.setBackend(before);
        cells.clear();
      }
    },
    rawOp: (name: string, attributes: RawAttributes, inputs: Tensor[], outputs: RawOutput[]): Tensor[] => {
      current = name;
      const entries = inputs.map((x) => entryOf(x.dataId));
      if (entries.some(({ dtype }) => dtype === 'bfloat16')) {
        const low = bfloat16Op(graphOf(), name, attributes, entries, outputs);
        if (low !== undefined) return [tensor(low)];
      }
      const checked = inputs.map((x) => operand(x.dataId));
      return graphOf()
        .add(name, checked, attributes, outputs as { shape: number[]; dtype: GraphDtype }[])
        .map(tensor);
    },
    choose: (
      pred: Tensor,
      inputs: Tensor[],
      whenTrue: (x: Tensor[]) => Tensor[],
      whenFalse: (x: Tensor[]) => Tensor[],
    ) => {
      const entries = inputs.map((x) => entryOf(x.dataId));
      const branch = (build: (x: Tensor[]) => Tensor[]) => (switched: Entry[]) =>
        build(switched.map(tensor)).map((x) => entryOf(x.dataId));
      return buildChoice(graphOf(), operand(pred.dataId), entries, branch(whenTrue), branch(whenFalse)).map(tensor);
    },
    isLowPrecision: (x: Tensor): boolean => entryOf(x.dataId).dtype === 'bfloat16',
    after: (x: Tensor, dependency: Tensor): Tensor => {
      const [entry, other] = [entryOf(x.dataId), entryOf(dependency.dataId)];
      const options = { after: [other.ref.split(':', 1)[0] ?? ''], isUnique: true };
      return tensor(
        graphOf().one('Identity', [entry], { T: { type: entry.dtype } }, entry.shape, entry.dtype, options),
      );
    },
  });
  // Object.assign copies a getter's value, so the getter is defined anew.
  Object.defineProperty(backend, 'current', { get: () => current });
  tf.registerBackend(backendName, () => backend as never, 0);

  register(tf, allKernels, {
    graph: graphOf,
    entry: operand,
    alias: entryOf,
    made,
    enter: (name) => {
      current = name;
    },
  });
  return backend;
}

interface Seam {
  graph(): Graph;
  entry(dataId: object): Entry;
  alias(dataId: object): Entry;
  made(entry: Entry): TensorInfo;
  enter(name: string): void;
}

function register(tf: Tf, kernels: Kernels, seam: Seam): void {
  const kernelFunc =
    (name: string, kernel: Kernels[string]) =>
    ({ inputs, attrs }: { inputs: Record<string, TensorInfo> | TensorInfo[]; attrs?: unknown }) => {
      seam.enter(name);
      // tfjs hands a list to kernels of many tensors, and makes clones of anything, so Identity takes any type.
      const entryOf = name === 'Identity' ? seam.alias : seam.entry;
      const named = new Map(Object.entries(inputs).flatMap(([key, x]) => (x ? [[key, entryOf(x.dataId)]] : [])));
      const call: KernelCall = {
        graph: seam.graph(),
        inputs: [...named.values()],
        input: (key) => {
          const entry = named.get(key);
          invariant(entry !== undefined, `${name} has no input ${key}`);
          return entry;
        },
        attrs: <T>() => (attrs ?? {}) as T,
      };
      const result = kernel(call);
      return Array.isArray(result) ? result.map(seam.made) : seam.made(result);
    };
  for (const [name, kernel] of Object.entries(kernels)) {
    tf.registerKernel({ kernelName: name, backendName, kernelFunc: kernelFunc(name, kernel) as never });
  }
}
