import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TrainSpec } from '@moraine/contract';
import { collate, encodeFile, epochOrder, loadTokenizer, type TrainingRow } from '@moraine/data';
import { createModel, createOptimizer, createTrainer, evaluate } from '@moraine/lm';
import { beforeAll, describe, expect, it } from 'vitest';
import { loadBase } from '../src/index.js';
import { adapterOf } from '../src/method.js';
import { createStepBatches } from '../src/step-batches.js';
import { lossesOf, METHODS, ofType, runOf, specOf, writeTinyBase } from './tiny-base.js';

/** A run whose learning rate is zero keeps its weights, so that the loss of a step says which rows it was taken on. */
const base = writeTinyBase();
const COUNT = 11;
const BATCH = 3;
const STEPS = 9; // 27 rows: two epochs and a half
const SEED = 4;

const file = join(base, 'different.jsonl');
const words = Array.from({ length: COUNT }, (_, i) => ({
  prompt: `${String.fromCharCode(97 + i).repeat(1 + ((i * 3) % 5))}?`,
  completion: `${String.fromCharCode(65 + ((i * 7) % 26)).repeat(1 + (i % 4))}${i}`,
}));
writeFileSync(file, words.map((row) => `${JSON.stringify(row)}\n`).join(''));

function stillSpec(name: string, packing: boolean, patch: Partial<TrainSpec> = {}): TrainSpec {
  const adapter = METHODS[name] ?? { type: 'none' as const };
  const spec = specOf(base, file, adapter.type === 'none' ? adapter : { ...adapter, dropout: 0 }, patch);
  Object.assign(spec.config, { steps: STEPS, batch_size: BATCH, accumulation: 1, packing, seed: SEED });
  spec.config.optimizer = { ...spec.config.optimizer, learning_rate: 0 };
  spec.config.checkpoint = { ...spec.config.checkpoint, every_steps: 4 };
  return spec;
}

/** Rows of every step as the documents say it: epochs' shuffled orders end to end, cut into steps. */
const order = [0, 1, 2].flatMap((epoch) => Array.from(epochOrder(COUNT, SEED, epoch)));
const rowsOf = (step: number): number[] => order.slice((step - 1) * BATCH, step * BATCH);

let rows: TrainingRow[];
let expected: number[];
beforeAll(async () => {
  const tokenizer = await loadTokenizer(base);
  rows = (await encodeFile(file, tokenizer, { maxSeqLen: 32 })).rows;
  const single = rows.map((row) => collate([row], { padId: tokenizer.padId, multiple: 32 }));
  const { config, weights } = loadBase(base);
  const model = await createModel({ config, weights, evaluation: [{ batch: 1, time: 32 }] });
  const sums: { nats: number; tokens: number }[] = [];
  for (const batch of single) {
    const { loss, supervisedTokens } = await evaluate(model.score, [batch]);
    sums.push({ nats: loss * supervisedTokens, tokens: supervisedTokens });
  }
  model.dispose();
  const meanOf = (picked: readonly number[]): number => {
    const nats = picked.reduce((sum, row) => sum + (sums[row]?.nats ?? Number.NaN), 0);
    return nats / picked.reduce((sum, row) => sum + (sums[row]?.tokens ?? Number.NaN), 0);
  };
  expected = Array.from({ length: STEPS }, (_, i) => meanOf(rowsOf(i + 1)));
});

/** Losses that differ by less than the losses of two sets of rows do. */
const expectSame = (losses: readonly number[], wanted: readonly number[]): void => {
  expect(losses).toHaveLength(wanted.length);
  for (const [i, loss] of losses.entries()) expect(Math.abs(loss - (wanted[i] ?? Number.NaN))).toBeLessThan(1e-5);
};

it('the loss tells the rows of one step from those of every other', () => {
  const sorted = [...expected].sort((a, b) => a - b);
  for (const [i, loss] of sorted.slice(1).entries()) expect(loss - (sorted[i] ?? 0)).toBeGreaterThan(1e-4);
});

describe.each(Object.keys(METHODS))('a run with %s', (name) => {
  it.each([
    ['packed', true],
    ['in length buckets', false],
  ])('takes each step on the rows of the documented order, across epochs, %s', async (_how, packing) => {
    expectSame(lossesOf(await runOf(stillSpec(name, packing))), expected);
  });
});

it.each(['lora', 'full'])('a run with %s that is resumed takes its steps on the rows that were left', async (name) => {
  const first = await runOf(stillSpec(name, true), 4);
  const resumeFrom = ofType(first, 'checkpoint').at(-1)?.dir ?? null;
  const rest = await runOf(stillSpec(name, true, { resumeFrom }));
  expect(ofType(rest, 'ready')[0]?.startStep).toBe(4);
  expect(ofType(rest, 'metrics').map(({ step }) => step)).toEqual([5, 6, 7, 8, 9]);
  expectSame([...lossesOf(first), ...lossesOf(rest)], expected);
});

it('a run that is resumed counts on from the tokens it had trained on', async () => {
  const lengthOf = (step: number) => rowsOf(step).reduce((sum, row) => sum + (rows[row]?.ids.length ?? 0), 0);
  const upTo = (step: number) => Array.from({ length: step }, (_, i) => lengthOf(i + 1)).reduce((a, b) => a + b, 0);
  const first = await runOf(stillSpec('lora', false), 4);
  const resumeFrom = ofType(first, 'checkpoint').at(-1)?.dir ?? null;
  const rest = await runOf(stillSpec('lora', false, { resumeFrom }));
  expect(ofType(rest, 'ready')[0]?.trainedTokens).toBe(upTo(4));
  expect(ofType(rest, 'metrics').map(({ values }) => values.trained_tokens)).toEqual([5, 6, 7, 8, 9].map(upTo));
});

/** The micro-batches of the documented order, given to a trainer without any recipe. */
async function lossesWithoutRecipe({ config: run }: TrainSpec): Promise<number[]> {
  const { config, weights } = loadBase(base);
  const stepBatches = createStepBatches({
    rows,
    rowsOf,
    steps: STEPS,
    model: config,
    packing: run.packing,
    accumulation: run.accumulation,
    padId: 3,
  });
  const { learning_rate, betas, eps, weight_decay, max_grad_norm } = run.optimizer;
  const trainer = await createTrainer({
    config,
    weights,
    adapter: adapterOf(run.adapter),
    mode: run.mode,
    shapes: stepBatches.shapes,
    optimizer: createOptimizer({
      type: run.optimizer.type,
      beta1: betas[0],
      beta2: betas[1],
      eps,
      weightDecay: weight_decay,
      maxGradNorm: max_grad_norm,
    }),
    schedule: { type: 'constant', learningRate: learning_rate, warmupSteps: 0, totalSteps: STEPS, minRatio: 0 },
    seed: SEED,
  });
  const losses = Array.from({ length: STEPS }, (_, i) => trainer.step(stepBatches.at(i + 1).batches).loss);
  trainer.dispose();
  return losses;
}

// Dropout depends on the place of a row in its batch, so the losses also tell the order of rows inside a step.
it.each(Object.keys(METHODS))(
  'a run with %s learns from the rows of a step in their order, to the bit',
  async (name) => {
    const spec = stillSpec(name, false);
    const adapter = METHODS[name] ?? { type: 'none' as const };
    spec.config.adapter = adapter.type === 'none' ? adapter : { ...adapter, dropout: 0.3 };
    spec.config.optimizer = { ...spec.config.optimizer, learning_rate: 1e-2 };
    spec.config.schedule = { type: 'constant', warmup_steps: 0, min_ratio: 0 };
    expect(lossesOf(await runOf(spec))).toEqual(await lossesWithoutRecipe(spec));
  },
);
