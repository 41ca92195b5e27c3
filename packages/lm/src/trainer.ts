import { AppError } from '@moraine/contract';
import type { LlamaConfig } from '@moraine/contract/plan';
import { loadTf, type Tensor } from '@moraine/engine';
import { type Adapter, adaptedLinears, initialAdapter } from './adapter.js';
import { type Batch, batchTensors, supervised } from './batch.js';
import { type HostTensor, toDevice, toHost } from './host.js';
import { createNet, type Net } from './net.js';
import { type AdamwSlot, adamwScalars } from './optim/adamw.js';
import { learningRateAt, type Schedule } from './optim/schedule.js';
import { mix32 } from './random.js';
import { addGradients, applyStep, type MicroResult, microStep, type StepHyper } from './step.js';

export interface TrainerOptions {
  config: LlamaConfig;
  /** The base's weights by name. They stay the caller's; full fine-tuning trains copies. */
  weights: ReadonlyMap<string, Tensor>;
  /** What is trained; null trains every weight. */
  adapter: Adapter | null;
  optimizer: StepHyper;
  schedule: Schedule;
  /** Decides the adapter's starting values and every dropout mask. */
  seed: number;
}

export interface StepResult {
  /** Number of the step, from 1. */
  step: number;
  /** Mean cross entropy over the supervised tokens of the step, nats. */
  loss: number;
  /** Global norm of the mean gradient, before clipping. */
  gradNorm: number;
  supervisedTokens: number;
  correctTokens: number;
  learningRate: number;
}

/** Everything a resumed run needs, on the host. Moments are named `<variable>.moment1` and `<variable>.moment2`. */
export interface TrainerState {
  step: number;
  trainable: Map<string, HostTensor>;
  optimizer: Map<string, HostTensor>;
}

export interface Trainer {
  /** Steps done. */
  readonly steps: number;
  readonly parameterCount: number;
  /** One optimiser step over the micro-batches; the loss is normalised over their supervised tokens together. */
  step(microBatches: readonly Batch[]): StepResult;
  /** The net as it stands, without dropout, for evaluation and generation; valid until the next step. */
  net(): Net;
  /** The trained variables by name; valid until the next step. */
  variables(): ReadonlyMap<string, Tensor>;
  state(): TrainerState;
  /** Takes over a state of the same variables. @throws AppError `checkpoint_mismatch` naming the first difference. */
  load(state: TrainerState): void;
  dispose(): void;
}

/**
 * A training run's live state: variables, moments, step number. Every step replaces the variables by new tensors; between steps it
 * holds three tensors a variable and nothing else.
 */
export function createTrainer(options: TrainerOptions): Trainer {
  const tf = loadTf();
  const { config, weights, adapter, optimizer, schedule, seed } = options;
  const initial = adapter === null ? null : initialAdapter(config, adapter, seed);
  const names = initial === null ? [...weights.keys()] : [...initial.keys()];
  let slots: AdamwSlot[] = names.map((name) => {
    const start = initial?.get(name);
    const value = start === undefined ? tf.clone(weights.get(name) as Tensor) : toDevice(start);
    return { value, moment1: tf.zeros(value.shape), moment2: tf.zeros(value.shape) };
  });
  let steps = 0;

  const netOf = (values: readonly Tensor[], dropoutSeed?: Tensor): Net => {
    const named = new Map(names.map((name, i) => [name, values[i] as Tensor]));
    if (adapter === null) return createNet({ weights, trained: named });
    const dropout = dropoutSeed && adapter.dropout > 0 ? { rate: adapter.dropout, seed: dropoutSeed } : undefined;
    return createNet({ weights, adapted: adaptedLinears(config, adapter, named), method: adapter.method, dropout });
  };
  const values = () => slots.map((slot) => slot.value);

  function step(microBatches: readonly Batch[]): StepResult {
    const number = steps + 1;
    const targets = microBatches.map(supervised);
    const supervisedTokens = targets.reduce((sum, { positions }) => sum + positions.length, 0);
    if (supervisedTokens === 0) {
      throw new AppError(
        'user_data',
        `Step ${number} has no supervised token among ${microBatches.length} micro-batches.`,
        {
          hint: 'Rows whose answer is cut off leave nothing to learn; raise the maximum sequence length or drop them.',
        },
      );
    }
    const learningRate = learningRateAt(schedule, number);
    const { updated, numbers } = tf.tidy(() => {
      let sum: MicroResult | undefined;
      for (const [index, batch] of microBatches.entries()) {
        const micro = tf.tidy(() => {
          const tensors = batchTensors(batch, targets[index] ?? supervised(batch));
          const dropoutSeed = tf.tensor1d([mix32(seed, number, index), 0], 'int32');
          return microStep(config, values(), (v) => netOf(v, dropoutSeed), tensors);
        });
        sum = sum === undefined ? micro : addMicro(sum, micro);
      }
      if (sum === undefined) throw new Error('a step needs a micro-batch');
      const scalars = {
        ...adamwScalars(number, learningRate, optimizer),
        perToken: tf.scalar(1 / supervisedTokens),
      };
      const { slots: next, gradNorm } = applyStep(slots, sum.grads, scalars, optimizer);
      return { updated: next, numbers: tf.stack([sum.lossSum, gradNorm, sum.correct]) };
    });
    const [lossSum = Number.NaN, gradNorm = Number.NaN, correctTokens = 0] = numbers.dataSync();
    numbers.dispose();
    const loss = lossSum / supervisedTokens;
    if (!Number.isFinite(loss) || !Number.isFinite(gradNorm)) {
      tf.dispose(updated);
      throw new AppError(
        'nan_loss',
        `Step ${number}: loss is ${loss}, gradient norm ${gradNorm}, learning rate ${learningRate}.`,
        {
          hint: 'Lower the learning rate, lengthen the warm-up or clip gradients; the last checkpoint is unharmed.',
        },
      );
    }
    tf.dispose(slots);
    slots = updated;
    steps = number;
    return { step: number, loss, gradNorm, supervisedTokens, correctTokens, learningRate };
  }

  return {
    get steps() {
      return steps;
    },
    parameterCount: slots.reduce((sum, { value }) => sum + value.size, 0),
    step,
    net: () => netOf(values()),
    variables: () => new Map(names.map((name, i) => [name, (slots[i] as AdamwSlot).value])),
    state: () => readState(steps, names, slots),
    load: (state) => {
      const loaded = loadSlots(state, names, slots);
      tf.dispose(slots);
      slots = loaded;
      steps = state.step;
    },
    dispose: () => tf.dispose(slots),
  };
}

function addMicro(a: MicroResult, b: MicroResult): MicroResult {
  const tf = loadTf();
  const sum = {
    lossSum: tf.add(a.lossSum, b.lossSum),
    correct: tf.add(a.correct, b.correct),
    grads: addGradients(a.grads, b.grads),
  };
  tf.dispose([a, b]);
  return sum;
}

function readState(step: number, names: readonly string[], slots: readonly AdamwSlot[]): TrainerState {
  const state: TrainerState = { step, trainable: new Map(), optimizer: new Map() };
  for (const [i, name] of names.entries()) {
    const { value, moment1, moment2 } = slots[i] as AdamwSlot;
    state.trainable.set(name, toHost(value));
    state.optimizer.set(`${name}.moment1`, toHost(moment1));
    state.optimizer.set(`${name}.moment2`, toHost(moment2));
  }
  return state;
}

function loadSlots(state: TrainerState, names: readonly string[], slots: readonly AdamwSlot[]): AdamwSlot[] {
  if (state.trainable.size !== names.length) {
    throw mismatch(`it holds ${state.trainable.size} variables, this run trains ${names.length}`);
  }
  const read = (tensors: ReadonlyMap<string, HostTensor>, name: string, shape: readonly number[]) => {
    const tensor = tensors.get(name);
    if (tensor === undefined) throw mismatch(`it lacks ${name}`);
    if (tensor.shape.join() !== shape.join()) {
      throw mismatch(`${name} has shape [${tensor.shape.join(', ')}], this run needs [${shape.join(', ')}]`);
    }
    return tensor;
  };
  const found = names.map((name, i) => {
    const { shape } = (slots[i] as AdamwSlot).value;
    return [
      read(state.trainable, name, shape),
      read(state.optimizer, `${name}.moment1`, shape),
      read(state.optimizer, `${name}.moment2`, shape),
    ] as const;
  });
  return found.map(([value, moment1, moment2]) => ({
    value: toDevice(value),
    moment1: toDevice(moment1),
    moment2: toDevice(moment2),
  }));
}

function mismatch(difference: string): AppError {
  return new AppError('checkpoint_mismatch', `The checkpoint is not of this run: ${difference}.`, {
    hint: 'Resume with the method, rank and targets that the checkpoint was written with.',
  });
}
