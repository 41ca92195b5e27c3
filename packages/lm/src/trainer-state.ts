import { AppError } from '@moraine/contract';
import type { Session } from '@moraine/engine';
import type { HostTensor } from './host.js';
import { stateNames, type Trained } from './step.js';

/** Everything a resumed run needs, on the host. Moments are named `<variable>.moment1` and `<variable>.moment2`. */
export interface TrainerState {
  step: number;
  trainable: Map<string, HostTensor>;
  optimizer: Map<string, HostTensor>;
}

/** Shapes by name of what a state holds: to read it a part at a time, where copies of everything do not fit. */
export interface StateShapes {
  trainable: ReadonlyMap<string, readonly number[]>;
  optimizer: ReadonlyMap<string, readonly number[]>;
}

export function stateShapes(trained: readonly Trained[]): StateShapes {
  const moments = trained.flatMap(({ name, shape }) => {
    const { moment1, moment2 } = stateNames(name);
    return [moment1, moment2].map((moment): [string, readonly number[]] => [moment, shape]);
  });
  return { trainable: new Map(trained.map(({ name, shape }) => [name, shape])), optimizer: new Map(moments) };
}

/** Copies of the trained variables and their moments. */
export function readState(step: number, names: readonly string[], session: Session): TrainerState {
  const moments = names.flatMap((name) => [stateNames(name).moment1, stateNames(name).moment2]);
  return { step, trainable: session.read(names), optimizer: session.read(moments) };
}

/** Writes a state of the same variables. @throws AppError `checkpoint_mismatch` naming the first difference; then nothing is written. */
export function writeState(state: TrainerState, trained: readonly Trained[], session: Session): void {
  if (state.trainable.size !== trained.length) {
    throw mismatch(`it holds ${state.trainable.size} variables, this run trains ${trained.length}`);
  }
  const values = new Map<string, HostTensor>();
  const take = (tensors: ReadonlyMap<string, HostTensor>, name: string, shape: readonly number[]) => {
    const tensor = tensors.get(name);
    if (tensor === undefined) throw mismatch(`it lacks ${name}`);
    if (tensor.shape.join() !== shape.join()) {
      throw mismatch(`${name} has shape [${tensor.shape.join(', ')}], this run needs [${shape.join(', ')}]`);
    }
    values.set(name, tensor);
  };
  for (const { name, shape } of trained) {
    const { moment1, moment2 } = stateNames(name);
    take(state.trainable, name, shape);
    take(state.optimizer, moment1, shape);
    take(state.optimizer, moment2, shape);
  }
  session.write(values);
}

function mismatch(difference: string): AppError {
  return new AppError('checkpoint_mismatch', `The checkpoint is not of this run: ${difference}.`, {
    hint: 'Resume with the method, rank and targets that the checkpoint was written with.',
  });
}
