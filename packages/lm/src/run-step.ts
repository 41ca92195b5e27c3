import { AppError, type Batch, type BatchShape } from '@moraine/contract';
import type { ModelConfig } from '@moraine/contract/plan';
import type { Session } from '@moraine/engine';
import { type Adapter, restartedAdapter } from './adapter.js';
import { checkTokens, feedBatch, feedSources, type Supervised, shapeFor, supervised } from './batch.js';
import type { HostTensor } from './host.js';
import type { Optimizer } from './optim/optimizer.js';
import { learningRateAt, type Schedule } from './optim/schedule.js';
import { mix32 } from './random.js';
import {
  APPLY,
  type DropoutRates,
  gradName,
  isDropping,
  microName,
  type StepAims,
  slotVariables,
  type Trained,
} from './step.js';

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
  /** Mean KL(p_base ‖ q) over the supervised tokens that it is taken on, nats, where the base is compared with and there are some. */
  klToBase?: number;
  /** Mean cross entropy of each role's supervised tokens, where the step has some of both. */
  lossByRole?: { target: number; source: number };
}

/** What a step needs besides the variables. */
export interface StepOptions {
  config: ModelConfig;
  adapter: Adapter | null;
  /** All variables of the adapter. */
  adapterNames: readonly string[];
  optimizer: Optimizer;
  schedule: Schedule;
  rates: DropoutRates;
  seed: number;
  shapes: readonly BatchShape[];
  /** As its signatures were made with. */
  aims: StepAims;
}

/**
 * Runs steps, by number from 1, in a session that has the signatures of `step.ts`. Errors are those of `Trainer.step`.
 */
export function createRunStep(
  session: Session,
  trained: readonly Trained[],
  { config, adapter, adapterNames, optimizer, schedule, rates, seed, shapes, aims }: StepOptions,
): (number: number, microBatches: readonly Batch[]) => StepResult {
  // Sums of gradients are zero between steps, unless a step ended by an error.
  let areSumsZero = true;

  /** Adds up the gradients of a step's micro-batches, each with its supervised tokens. */
  function accumulate(step: number, microBatches: readonly Batch[], targets: readonly Supervised[]) {
    let lossSum = 0;
    let correctTokens = 0;
    let klSum: number | undefined;
    let sourceLoss = 0;
    let sourceTokens = 0;
    for (const [index, batch] of microBatches.entries()) {
      const own = targets[index];
      if (own === undefined || own.positions.length === 0) continue;
      const shape = shapeFor(batch, shapes);
      const feeds = feedBatch(batch, shape, own);
      if (isDropping(rates)) feeds.seed = Int32Array.of(mix32(seed, step, index), 0);
      if (aims.hasSources) {
        feeds.sources = feedSources(batch, shape, own);
        sourceTokens += feeds.sources.reduce((sum, one) => sum + one, 0);
      }
      const micro = session.run(microName(shape), feeds);
      lossSum += micro.lossSum?.[0] ?? Number.NaN;
      correctTokens += micro.correct?.[0] ?? 0;
      sourceLoss += micro.sourceLoss?.[0] ?? 0;
      if (micro.klSum !== undefined) klSum = (klSum ?? 0) + (micro.klSum[0] ?? Number.NaN);
    }
    return { lossSum, correctTokens, klSum, sourceLoss, sourceTokens };
  }

  /** The divergence and the losses of the roles, each over its own tokens. */
  function measures(tokens: number, { lossSum, klSum, sourceLoss, sourceTokens }: ReturnType<typeof accumulate>) {
    const targetTokens = tokens - sourceTokens;
    const pulled = !aims.hasSources ? tokens : aims.klOn === 'replay' ? sourceTokens : targetTokens;
    const loss = { target: (lossSum - sourceLoss) / targetTokens, source: sourceLoss / sourceTokens };
    return {
      ...(klSum === undefined || pulled === 0 ? {} : { klToBase: klSum / pulled }),
      ...(sourceTokens === 0 || targetTokens === 0 ? {} : { lossByRole: loss }),
    };
  }

  /** Restarts the adapter before the first step after every `restartEvery`; returns the number of the step since the last restart. */
  function restartIfDue(number: number): number {
    const every = adapter?.restartEvery ?? Number.POSITIVE_INFINITY;
    const times = Math.floor((number - 1) / every);
    if (adapter === null || times === 0) return number;
    if ((number - 1) % every === 0) {
      session.write(restartedAdapter(config, adapter, session.read(adapterNames), { seed, times }));
      session.write(zeros(slotVariables(trained, optimizer.slots)));
    }
    return number - times * every;
  }

  return (number, microBatches) => {
    const targets = microBatches.map(supervised);
    const supervisedTokens = targets.reduce((sum, { positions }) => sum + positions.length, 0);
    if (supervisedTokens === 0) throw nothingSupervised(number, microBatches.length);
    for (const batch of microBatches) checkTokens(batch, config.vocabSize);
    const learningRate = learningRateAt(schedule, number);
    const since = restartIfDue(number);
    if (!areSumsZero) session.write(zeros(trained.map(({ name, shape }) => ({ name: gradName(name), shape }))));
    areSumsZero = false;
    const sums = accumulate(number, microBatches, targets);
    const { lossSum, correctTokens } = sums;
    const loss = lossSum / supervisedTokens;
    const scalars = { ...optimizer.scalarsAt(since), learningRate, perToken: 1 / supervisedTokens };
    const gradNorm = Number.isFinite(loss) ? (session.run(APPLY, scalars).gradNorm?.[0] ?? Number.NaN) : Number.NaN;
    if (!Number.isFinite(loss) || !Number.isFinite(gradNorm)) throw notANumber(number, loss, gradNorm, learningRate);
    areSumsZero = true;
    const measured = measures(supervisedTokens, sums);
    return { step: number, loss, gradNorm, supervisedTokens, correctTokens, learningRate, ...measured };
  };
}

function zeros(variables: readonly Trained[]): Map<string, HostTensor> {
  return new Map(
    variables.map(({ name, shape }) => {
      const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
      return [name, { shape: [...shape], data }];
    }),
  );
}

function nothingSupervised(step: number, microBatches: number): AppError {
  return new AppError('user_data', `Step ${step} has no supervised token among ${microBatches} micro-batches.`, {
    hint: 'Rows whose answer is cut off leave nothing to learn; raise the maximum sequence length or drop them.',
  });
}

function notANumber(step: number, loss: number, gradNorm: number, learningRate: number): AppError {
  const values = Number.isFinite(loss) ? `loss is ${loss}, gradient norm ${gradNorm}` : `loss is ${loss}`;
  return new AppError('nan_loss', `Step ${step}: ${values}, learning rate ${learningRate}.`, {
    hint: 'Lower the learning rate, lengthen the warm-up or clip gradients; the last checkpoint is unharmed.',
  });
}
