import type { Batch, BatchShape } from '@moraine/contract';
import type { ModelConfig } from '@moraine/contract/plan';
import {
  compile,
  invariant,
  type NumericMode,
  type Program,
  type SessionTimings,
  type VariableSpec,
} from '@moraine/engine';
import { type Adapter, initialAdapter } from './adapter.js';
import { scoreBatch, type TokenScores } from './evaluate.js';
import { generationVariables } from './generation/cache.js';
import { createGenerator, type Generator } from './generation/generator.js';
import type { GenerationPlan } from './generation/plan.js';
import { generationSignatures } from './generation/program.js';
import { type HostTensor, isOnHost, type WeightSource, weightReader } from './host.js';
import type { Optimizer } from './optim/optimizer.js';
import type { Schedule } from './optim/schedule.js';
import { copyName, evaluateSignatures, scopeNet, weightVariables } from './program.js';
import { createRunStep, type StepResult } from './run-step.js';
import {
  APPLY,
  applySignature,
  dropoutRates,
  gradName,
  microSignatures,
  type StepAims,
  slotVariables,
  type Trained,
} from './step.js';
import {
  readState,
  type StateShapes,
  stateShapes,
  type TrainerState,
  writeState,
  writeVariables,
} from './trainer-state.js';

export interface TrainerOptions {
  config: ModelConfig;
  /** The base's weights by name: places in files, or numbers. */
  weights: ReadonlyMap<string, WeightSource>;
  /** What is trained beside the weights; null: nothing. */
  adapter: Adapter | null;
  /** Weights that are trained whole, by name; absent: all of them without an adapter, none beside one. */
  whole?: readonly string[] | undefined;
  /** How gradients become updates, and what it keeps of every variable. */
  optimizer: Optimizer;
  schedule: Schedule;
  /** Weight of KL(p_base ‖ q) in what is minimised; 0 measures it alone. Absent: the base is not compared with. */
  klToBase?: number | undefined;
  /** The rows that it is taken on where there are sources: target rows (`task`, the default) or source rows. */
  klOn?: StepAims['klOn'];
  /** Batches tell rows of the role source (`Batch.sources`): their loss is reported apart. */
  hasSources?: boolean | undefined;
  /** Share of the weights of attention set to zero in a step; absent: none. */
  attentionDropout?: number | undefined;
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
  /** Scores a batch with the variables as they are, without dropout. */
  score(batch: Batch): TokenScores;
  /** Answers prompts with the variables as they are; null without a plan of generation. */
  readonly generator: Generator | null;
  /** Names and shapes of what a state holds. */
  readonly stateShapes: StateShapes;
  /** Copies of the trained variables and those kept with them by name, or of those named, which may be the optimiser's too. */
  variables(only?: readonly string[]): Map<string, HostTensor>;
  /** Euclidean norm of each trained variable, by name. Reads one after the other. */
  norms(): Map<string, number>;
  state(): TrainerState;
  /** Starts from other values of all trained variables and those kept with them. @throws AppError `checkpoint_mismatch` naming the first difference. */
  begin(variables: ReadonlyMap<string, HostTensor>): void;
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
  const { program, trained, kept, adapterNames, initial, aims } = trainingProgram(options);
  const session = await compile(program, { mode });
  try {
    session.write(initial);
  } catch (error) {
    session.dispose();
    throw error;
  }
  const stored = stateShapes(trained, kept, optimizer.slots);
  const names = [...stored.trainable.keys()];
  const runStep = createRunStep(session, trained, {
    config,
    adapter,
    adapterNames,
    optimizer,
    schedule,
    rates: dropoutRates(adapter, options.attentionDropout),
    seed,
    shapes,
    aims,
  });
  let steps = 0;
  return {
    get steps() {
      return steps;
    },
    parameterCount: trained.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0),
    mode,
    timings: session.timings,
    step: (microBatches) => {
      const result = runStep(steps + 1, microBatches);
      steps = result.step;
      return result;
    },
    score: (batch) => scoreBatch(session, batch, { shapes: evaluation, vocabSize: config.vocabSize }),
    generator: generation === undefined ? null : createGenerator(session, config, generation),
    stateShapes: stored,
    variables: (only = names) => session.read(only),
    norms: () => new Map(trained.map(({ name }) => [name, normOf(session.read([name]).get(name)?.data ?? [])])),
    state: () => readState(steps, stored, session),
    begin: (variables) => writeVariables(variables, stored, session),
    load: (state) => {
      writeState(state, stored, session);
      steps = state.step;
    },
    dispose: () => session.dispose(),
  };
}

const normOf = (values: ArrayLike<number>): number => {
  let sum = 0;
  for (let i = 0; i < values.length; i += 1) sum += (values[i] ?? 0) ** 2;
  return Math.sqrt(sum);
};

/** Variables and signatures of a training run, what of them is trained, and the values they start with beside those from files. */
export function trainingProgram(options: Omit<TrainerOptions, 'schedule' | 'mode'>) {
  const { config, weights, adapter, optimizer, seed, shapes, evaluation = [], generation } = options;
  const whole = options.whole ?? (adapter === null ? [...weights.keys()] : []);
  const variables = weightVariables(weights, new Set(whole));
  const initial = new Map<string, HostTensor>();
  for (const [name, source] of weights) if (isOnHost(source)) initial.set(name, source);
  const adapterValues =
    adapter === null ? new Map<string, HostTensor>() : initialAdapter(config, adapter, seed, weightReader(weights));
  for (const [name, value] of adapterValues) {
    variables.set(name, { shape: value.shape });
    initial.set(name, value);
  }
  const { klToBase, klOn, hasSources } = options;
  const aims: StepAims = { klToBase, klOn, hasSources };
  const copied = klToBase === undefined ? undefined : new Set(whole);
  for (const name of copied ?? []) copyWeight(name, weights, { variables, initial });
  const names = [...adapterValues.keys(), ...whole];
  const own = names.map((name) => ({ name, shape: variables.get(name)?.shape ?? [] }));
  const { trained, kept } = partVariables(own, adapter);
  for (const { name, shape } of trained) {
    for (const own of slotVariables([{ name, shape }], optimizer.slots)) variables.set(own.name, { shape: own.shape });
    variables.set(gradName(name), { shape });
  }
  const parts = { config, adapter, adapterNames: [...adapterValues.keys()], copied };
  if (generation !== undefined)
    for (const [name, cache] of generationVariables(config, generation)) variables.set(name, cache);
  const program: Program = {
    variables,
    signatures: {
      ...microSignatures(parts, trained, shapes, aims, dropoutRates(adapter, options.attentionDropout)),
      [APPLY]: applySignature(trained, optimizer),
      ...evaluateSignatures(parts, evaluation),
      ...(generation === undefined ? {} : generationSignatures(config, generation, (scope) => scopeNet(parts, scope))),
    },
  };
  return { program, trained, kept, adapterNames: parts.adapterNames, initial, aims };
}

/** Adds the frozen copy of a weight that is trained itself. */
function copyWeight(
  name: string,
  weights: ReadonlyMap<string, WeightSource>,
  { variables, initial }: { variables: Map<string, VariableSpec>; initial: Map<string, HostTensor> },
): void {
  const source = weights.get(name);
  invariant(source !== undefined, `the weights hold no tensor ${name}`);
  const own = new Map([[copyName(name), source]]);
  for (const [copy, spec] of weightVariables(own, new Set())) variables.set(copy, spec);
  if (isOnHost(source)) initial.set(copyName(name), source);
}

/** What is trained, with the rates of the adapter's method, and what the adapter only keeps. */
function partVariables(all: readonly Trained[], adapter: Adapter | null): { trained: Trained[]; kept: Trained[] } {
  const { frozen = [], rates = {} } = adapter?.method ?? {};
  const roleOf = ({ name }: Trained) => name.slice(name.lastIndexOf('.') + 1);
  const isKept = (each: Trained) => adapter !== null && frozen.includes(roleOf(each));
  const trained = all.filter((each) => !isKept(each)).map((each) => ({ ...each, rate: rates[roleOf(each)] }));
  return { trained, kept: all.filter(isKept) };
}
