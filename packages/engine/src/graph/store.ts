import type { DataType, KernelBackend } from '@tensorflow/tfjs';
import { EngineError, InvariantError } from '../error.js';
import type { Tf } from '../load.js';
import type { Cells, Values } from './cells.js';

/** What tfjs asks of any backend, over cells: tensors without values. A function, because tfjs and its class are loaded at run time. */
export function createStore(tf: Tf, cells: Cells): KernelBackend {
  class Store extends tf.KernelBackend {
    override write(values: unknown, shape: number[], dtype: DataType): object {
      return cells.hold(values as Values, shape, dtype);
    }
    override move(): void {
      throw new InvariantError('an eager tensor cannot be moved into a graph');
    }
    override readSync(dataId: object): never {
      const { values } = cells.at(dataId);
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
      return cells.count;
    }
    override refCount(dataId: object): number {
      return cells.references(dataId);
    }
    override incRef(dataId: object): void {
      cells.at(dataId).references++;
    }
    override disposeData(dataId: object, force = false): boolean {
      return cells.release(dataId, force);
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
  return new Store();
}
