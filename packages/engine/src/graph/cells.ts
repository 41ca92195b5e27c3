import type { DataType, TensorInfo } from '@tensorflow/tfjs';
import { EngineError, invariant } from '../error.js';
import type { GraphDtype } from './attributes.js';
import type { Entry, Graph } from './graph.js';

export type Values = Float32Array | Int32Array | Uint8Array;

/** What is kept for a tensor: its entry, or numbers that become a constant when something uses them. */
interface Cell {
  entry?: Entry;
  values?: Values;
  shape: number[];
  dtype: DataType;
  references: number;
}

/** The tensors of a trace by their data ids, and the graph that they are entries of. */
export class Cells {
  /** The operation that is being added, for error messages. */
  current = '';
  // A map of its own: tfjs's DataStorage would move (and so destroy) an eager tensor that is touched inside a trace.
  readonly #cells = new Map<object, Cell>();
  #open: Graph | undefined;

  /** The graph that is being traced. */
  get graph(): Graph {
    invariant(this.#open !== undefined, 'no graph is being traced');
    return this.#open;
  }

  get count(): number {
    return this.#cells.size;
  }

  open(graph: Graph): void {
    invariant(this.#open === undefined, 'a signature cannot be traced inside another');
    this.#open = graph;
  }

  close(): void {
    this.#open = undefined;
    this.current = '';
    this.clear();
  }

  clear(): void {
    this.#cells.clear();
  }

  /** A new cell of numbers; returns its data id. */
  hold(values: Values, shape: readonly number[], dtype: DataType): object {
    return this.#add({ values, shape: [...shape], dtype, references: 1 });
  }

  /** A new cell of an entry. What is kept in bfloat16 is float32 to tfjs. */
  made(entry: Entry): TensorInfo & { dtype: DataType } {
    const dtype = (entry.dtype === 'bfloat16' ? 'float32' : entry.dtype) as DataType;
    const dataId = this.#add({ entry, shape: [...entry.shape], dtype, references: 1 });
    return { dataId, shape: [...entry.shape], dtype };
  }

  /** @throws EngineError `eager_tensor_captured` for a tensor that is not of this trace. */
  at(dataId: object): Cell {
    const cell = this.#cells.get(dataId);
    if (cell !== undefined) return cell;
    throw new EngineError(
      'eager_tensor_captured',
      `${this.current || 'An operation'} was given a tensor that was made outside the signature.`,
      'Make it a feed or a variable, or make it inside the signature by operations.',
    );
  }

  /** The entry of a tensor, whatever its type; numbers become a constant. */
  entry(dataId: object): Entry {
    const cell = this.at(dataId);
    cell.entry ??= this.graph.constant(cell.values ?? [], cell.shape, cell.dtype as GraphDtype);
    return cell.entry;
  }

  /**
   * The entry as kernels take it, which is never in bfloat16: what is kept so goes through the operations that know how.
   * @throws EngineError `unsupported_in_mode`.
   */
  operand(dataId: object): Entry {
    const entry = this.entry(dataId);
    if (entry.dtype !== 'bfloat16') return entry;
    throw new EngineError(
      'unsupported_in_mode',
      `${this.current} was given a weight that is kept in bfloat16.`,
      'In mode bf16 frozen matrices may be used by matMul2d and gatherRows only; use another mode or those operations.',
    );
  }

  references(dataId: object): number {
    return this.#cells.get(dataId)?.references ?? 0;
  }

  /** Gives up one reference, or with `force` all; returns whether the cell is gone. */
  release(dataId: object, force: boolean): boolean {
    const cell = this.#cells.get(dataId);
    if (cell === undefined) return true;
    if (--cell.references > 0 && !force) return false;
    return this.#cells.delete(dataId);
  }

  #add(cell: Cell): object {
    const dataId = {};
    this.#cells.set(dataId, cell);
    return dataId;
  }
}
