import { AppError } from '@moraine/contract';
import type { Session } from '@moraine/engine';
import type { HostTensor } from './host.js';
import { slotVariables, type Trained } from './step.js';

/** Everything a resumed run needs, on the host. The optimiser's are named `<variable>.<slot>`. */
export interface TrainerState {
  step: number;
  /** What is trained, and what an adapter keeps beside it. */
  trainable: Map<string, HostTensor>;
  optimizer: Map<string, HostTensor>;
}

/** Shapes by name of what a state holds: to read it a part at a time, where copies of everything do not fit. */
export interface StateShapes {
  trainable: ReadonlyMap<string, readonly number[]>;
  optimizer: ReadonlyMap<string, readonly number[]>;
}

/** `kept` are variables of an adapter that are not trained. */
export function stateShapes(
  trained: readonly Trained[],
  kept: readonly Trained[],
  slots: readonly string[],
): StateShapes {
  const named = (all: readonly Trained[]) => new Map(all.map(({ name, shape }) => [name, shape]));
  return { trainable: named([...trained, ...kept]), optimizer: named(slotVariables(trained, slots)) };
}

/** Copies of the trained variables and of the optimiser's state of them. */
export function readState(step: number, { trainable, optimizer }: StateShapes, session: Session): TrainerState {
  return { step, trainable: session.read([...trainable.keys()]), optimizer: session.read([...optimizer.keys()]) };
}

/** Writes a state of the same variables. @throws AppError `checkpoint_mismatch` naming the first difference; then nothing is written. */
export function writeState(state: TrainerState, shapes: StateShapes, session: Session): void {
  if (state.trainable.size !== shapes.trainable.size) {
    throw mismatch(`it holds ${state.trainable.size} variables, this run trains ${shapes.trainable.size}`);
  }
  if (state.optimizer.size !== shapes.optimizer.size) {
    throw mismatch(
      `it holds ${state.optimizer.size} tensors of its optimiser, this run's has ${shapes.optimizer.size}`,
    );
  }
  const values = new Map<string, HostTensor>();
  for (const part of ['trainable', 'optimizer'] as const)
    for (const [name, shape] of shapes[part]) values.set(name, fitting(state[part].get(name), name, shape));
  session.write(values);
}

/** Writes other values of the same variables, the optimiser's aside. @throws AppError `checkpoint_mismatch`; then nothing is written. */
export function writeVariables(
  variables: ReadonlyMap<string, HostTensor>,
  { trainable }: StateShapes,
  session: Session,
): void {
  if (variables.size !== trainable.size)
    throw mismatch(`it holds ${variables.size} variables, this run trains ${trainable.size}`);
  const values = [...trainable].map(([name, shape]) => [name, fitting(variables.get(name), name, shape)] as const);
  session.write(new Map(values));
}

function fitting(tensor: HostTensor | undefined, name: string, shape: readonly number[]): HostTensor {
  if (tensor === undefined) throw mismatch(`it lacks ${name}`);
  if (tensor.shape.join() === shape.join()) return tensor;
  throw mismatch(`${name} has shape [${tensor.shape.join(', ')}], this run needs [${shape.join(', ')}]`);
}

function mismatch(difference: string): AppError {
  return new AppError('checkpoint_mismatch', `The checkpoint is not of this run: ${difference}.`, {
    hint: 'Resume with the method, rank, targets and optimiser that the checkpoint was written with.',
  });
}
