import { AppError, type Batch, type BatchShape } from '@moraine/contract';
import type { LlamaConfig } from '@moraine/contract/plan';
import { compile, type NumericMode, type Program, type SessionTimings } from '@moraine/engine';
import { type Adapter, initialAdapter } from './adapter.js';
import { checkTokens, feedBatch, shapeFor, supervised } from './batch.js';
import { scoreBatch, type TokenScores } from './evaluate.js';
import { generationVariables } from './generation/cache.js';
import { createGenerator, type Generator } from './generation/generator.js';
import type { GenerationPlan } from './generation/plan.js';
import { generationSignatures } from './generation/program.js';
import { type HostTensor, isOnHost, type WeightSource } from './host.js';
import type { Optimizer } from './optim/optimizer.js';
import { learningRateAt, type Schedule } from './optim/schedule.js';
import { evaluateSignatures, scopeNet, weightVariables } from './program.js';
import { mix32 } from './random.js';
import { APPLY, applySignature, gradName, microName, microSignatures, slotVariables } from './step.js';
import { readState, type StateShapes, stateShapes, type TrainerState, writeState } from './trainer-state.js';

export interface TrainerOptions {
  config: LlamaConfig;
  /** The base's weights by name: places in files, or numbers. */
  weights: ReadonlyMap<string, WeightSource>;
  /** What is trained; null trains every weight. */
  adapter: Adapter | null;
  /** How gradients become updates, and what it keeps of every variable. */
  optimizer: Optimizer;
  schedule: Schedule;
  /** Decides the adapter's starting values and every dropout mask. */
  seed: number;
  /** Default `plain`: traced. */
  mode?: NumericMode;
  /** Shapes of micro-batches; a batch is padded to the smallest that holds it. */
  shapes: readonly BatchShape[];
  /** Shapes of batches to score; none when nothing is evaluated. */
  evaluation?: readonly BatchShape[];
  /** Shapes to generate with; absent when nothing is. */
  generation?: GenerationPlan | undefined;
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

export interface Trainer {
  /** Steps done. */
  readonly steps: number;
  readonly parameterCount: number;
  readonly mode: NumericMode;
  readonly timings: SessionTimings;
  /**
   * One optimiser step over the micro-batches; the loss is normalised over their supervised tokens together.
   * @throws AppError `user_data` (nothing supervised, a token outside the vocabulary); `nan_loss`: with a loss that is not a number nothing
   * has changed, with a gradient that is not one the variables are spoilt and a checkpoint must be loaded.
   */
  step(microBatches: readonly Batch[]): StepResult;
  /** Scores a batch with the variables as they stand, without dropout. */
  score(batch: Batch): TokenScores;
  /** Answers prompts with the variables as they stand; null without a plan of generation. */
  readonly generator: Generator | null;
  /** Names and shapes of what a state holds. */
  readonly stateShapes: StateShapes;
  /** Copies of the trained variables by name, or of those named, which may be the optimiser's too. */
  variables(only?: readonly string[]): Map<string, HostTensor>;
  state(): TrainerState;
  /** Takes over a state of the same variables. @throws AppError `checkpoint_mismatch` naming the first difference. */
  load(state: TrainerState): void;
  dispose(): void;
}

/**
 * Compiles a training run: the base's weights, the trained variables with the optimiser's state of them, and a signature for every shape of batch.
 * Rejects with an EngineError when the program cannot be traced; it never runs in another mode than the one asked for.
 */
export async function createTrainer(options: TrainerOptions): Promise<Trainer> {
  // The options themselves are not kept: their weights may be the whole base.
  const { config, adapter, optimizer, schedule, seed, mode = 'plain', shapes, evaluation = [], generation } = options;
  const { program, trained, initial } = trainingProgram(options);
  const session = await compile(program, { mode });
  session.write(initial);
  const names = trained.map(({ name }) => name);
  const stored = stateShapes(trained, optimizer.slots);
  let steps = 0;
  // Sums of gradients are zero between steps, unless a step ended by an error.
  let areSumsZero = true;

  function step(microBatches: readonly Batch[]): StepResult {
    const number = steps + 1;
    const found = microBatches.map(supervised);
    const supervisedTokens = found.reduce((sum, { positions }) => sum + positions.length, 0);
    if (supervisedTokens === 0) throw nothingSupervised(number, microBatches.length);
    for (const batch of microBatches) checkTokens(batch, config.vocabSize);
    const learningRate = learningRateAt(schedule, number);
    if (!areSumsZero) session.write(zeroGradients(program, names));
    areSumsZero = false;
    let lossSum = 0;
    let correctTokens = 0;
    for (const [index, batch] of microBatches.entries()) {
      const targets = found[index];
      if (targets === undefined || targets.positions.length === 0) continue;
      const shape = shapeFor(batch, shapes);
      const feeds = feedBatch(batch, shape, targets);
      if (adapter !== null && adapter.dropout > 0) feeds.seed = Int32Array.of(mix32(seed, number, index), 0);
      const micro = session.run(microName(shape), feeds);
      lossSum += micro.lossSum?.[0] ?? Number.NaN;
      correctTokens += micro.correct?.[0] ?? 0;
    }
    const loss = lossSum / supervisedTokens;
    const scalars = { ...optimizer.scalarsAt(number), learningRate, perToken: 1 / supervisedTokens };
    const gradNorm = Number.isFinite(loss) ? (session.run(APPLY, scalars).gradNorm?.[0] ?? Number.NaN) : Number.NaN;
    if (!Number.isFinite(loss) || !Number.isFinite(gradNorm)) throw notANumber(number, loss, gradNorm, learningRate);
    areSumsZero = true;
    steps = number;
    return { step: number, loss, gradNorm, supervisedTokens, correctTokens, learningRate };
  }

  return {
    get steps() {
      return steps;
    },
    parameterCount: trained.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0),
    mode,
    timings: session.timings,
    step,
    score: (batch) => scoreBatch(session, batch, { shapes: evaluation, vocabSize: config.vocabSize }),
    generator: generation === undefined ? null : createGenerator(session, config, generation),
    stateShapes: stored,
    variables: (only = names) => session.read(only),
    state: () => readState(steps, stored, session),
    load: (state) => {
      writeState(state, stored, session);
      steps = state.step;
    },
    dispose: () => session.dispose(),
  };
}

/** Variables and signatures of a training run, and the values that variables start with beside those that come from files. */
export function trainingProgram(options: Omit<TrainerOptions, 'schedule' | 'mode'>) {
  const { config, weights, adapter, optimizer, seed, shapes, evaluation = [], generation } = options;
  const variables = weightVariables(weights, adapter !== null);
  const initial = new Map<string, HostTensor>();
  for (const [name, source] of weights) if (isOnHost(source)) initial.set(name, source);
  const adapterValues = adapter === null ? new Map<string, HostTensor>() : initialAdapter(config, adapter, seed);
  for (const [name, value] of adapterValues) {
    variables.set(name, { shape: value.shape });
    initial.set(name, value);
  }
  const names = adapter === null ? [...weights.keys()] : [...adapterValues.keys()];
  const trained = names.map((name) => ({ name, shape: variables.get(name)?.shape ?? [] }));
  for (const { name, shape } of trained) {
    for (const own of slotVariables([{ name, shape }], optimizer.slots)) variables.set(own.name, { shape: own.shape });
    variables.set(gradName(name), { shape });
  }
  const parts = { config, adapter, adapterNames: [...adapterValues.keys()] };
  if (generation !== undefined)
    for (const [name, cache] of generationVariables(config, generation)) variables.set(name, cache);
  const program: Program = {
    variables,
    signatures: {
      ...microSignatures(parts, trained, shapes),
      [APPLY]: applySignature(trained, optimizer),
      ...evaluateSignatures(parts, evaluation),
      ...(generation === undefined ? {} : generationSignatures(config, generation, (scope) => scopeNet(parts, scope))),
    },
  };
  return { program, trained, initial };
}

function zeroGradients({ variables }: Program, names: readonly string[]): Map<string, HostTensor> {
  return new Map(
    names.map((name) => {
      const grad = gradName(name);
      const shape = [...(variables.get(grad)?.shape ?? [])];
      return [grad, { shape, data: new Float32Array(shape.reduce((a, b) => a * b, 1)) }];
    }),
  );
}

function nothingSupervised(step: number, microBatches: number): AppError {
  return new AppError('user_data', `Step ${step} has no supervised token among ${microBatches} micro-batches.`, {
    hint: 'Rows whose answer is cut off leave nothing to learn; raise the maximum sequence length or drop them.',
  });
}

function notANumber(step: number, loss: number, gradNorm: number, learningRate: number): AppError {
  const found = Number.isFinite(loss) ? `loss is ${loss}, gradient norm ${gradNorm}` : `loss is ${loss}`;
  return new AppError('nan_loss', `Step ${step}: ${found}, learning rate ${learningRate}.`, {
    hint: 'Lower the learning rate, lengthen the warm-up or clip gradients; the last checkpoint is unharmed.',
  });
}
