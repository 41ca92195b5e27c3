import { loadTf } from '@moraine/engine';
import { expect, test } from 'vitest';
import { type Batch, createNet, createTrainer, evaluate, forward, generate, scoreTokens } from '../src/index.js';
import { batchOf, idsOf, tinyConfig, tinyWeights } from './tiny.js';

const tf = loadTf();

/** Prompt and answer in one row each; only the answer is scored. */
function answered(pairs: readonly { prompt: number[]; answer: number[] }[]): Batch {
  const batch = batchOf(pairs.map(({ prompt, answer }) => [...prompt, ...answer]));
  for (const [row, { prompt }] of pairs.entries())
    batch.labels.fill(-100, row * batch.time, row * batch.time + prompt.length);
  return batch;
}

test('loss and accuracy are those of plain logits', async () => {
  const net = createNet({ weights: tinyWeights() });
  const ids = idsOf(3, 10);
  const { losses, best } = scoreTokens(net, tinyConfig, batchOf([ids]));
  const logits = forward(net, tinyConfig, { ids: tf.tensor2d(ids, [1, 10], 'int32') });
  const expected = (tf.logSoftmax(logits).arraySync() as number[][])
    .slice(0, 9)
    .map((row, t) => -(row[ids[t + 1] ?? 0] ?? 0));
  for (const [t, loss] of expected.entries()) expect(losses[t]).toBeCloseTo(loss, 4);
  expect([...best]).toEqual([...tf.argMax(logits, 1).dataSync()].slice(0, 9));
  const result = await evaluate(net, tinyConfig, [batchOf([ids])]);
  expect(result.loss).toBeCloseTo(expected.reduce((a, b) => a + b, 0) / 9, 4);
  expect(result).toMatchObject({ supervisedTokens: 9, rows: 1 });
});

test('exact match of one teacher-forced pass gives the verdict of real greedy decoding, row by row', async () => {
  const END = 39;
  const pairs = Array.from({ length: 24 }, (_, i) => ({
    prompt: idsOf(i + 1, 3 + (i % 4)),
    answer: [...idsOf(i + 100, 2 + (i % 3)).map((id) => id % END), END],
  }));
  // Half of the rows are learned by heart, so both verdicts occur; some rows are stopped halfway.
  const run = createTrainer({
    config: tinyConfig,
    weights: tinyWeights(),
    adapter: null,
    optimizer: { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0, maxGradNorm: 1 },
    schedule: { type: 'constant', learningRate: 0.01, warmupSteps: 0, totalSteps: 1, minRatio: 0 },
    seed: 1,
  });
  const learned = answered(pairs.slice(0, 12));
  for (let i = 0; i < 40; i++) run.step([learned]);
  const net = run.net();
  const decoded = await generate(
    net,
    tinyConfig,
    pairs.map(({ prompt }) => prompt),
    { stopIds: [END], maxNewTokens: 8 },
  );
  const greedy = pairs.map(({ answer }, i) => JSON.stringify([...(decoded[i] ?? []), END]) === JSON.stringify(answer));
  const forced: boolean[] = [];
  for (const pair of pairs) forced.push((await evaluate(net, tinyConfig, [answered([pair])])).exactMatch === 1);
  expect(forced).toEqual(greedy);
  expect(new Set(greedy).size).toBe(2);
  const together = await evaluate(net, tinyConfig, [answered(pairs.slice(0, 10)), answered(pairs.slice(10))]);
  expect(together.rows).toBe(24);
  expect(together.exactMatch).toBeCloseTo(greedy.filter(Boolean).length / 24, 12);
});

test('decoding in a batch gives what decoding alone gives, and ends at the context', async () => {
  const net = createNet({ weights: tinyWeights() });
  const prompts = [idsOf(1, 3), idsOf(2, 17), idsOf(3, 60)];
  const options = { stopIds: [], maxNewTokens: 10 };
  const together = await generate(net, tinyConfig, prompts, options);
  const alone: number[][] = [];
  for (const prompt of prompts) alone.push(...(await generate(net, tinyConfig, [prompt], options)));
  expect(alone).toEqual(together);
  expect(together.map((answer) => answer.length)).toEqual([10, 10, 4]);
});

test('evaluation and generation leave no tensor behind', async () => {
  const net = createNet({ weights: tinyWeights() });
  const before = tf.memory().numTensors;
  await evaluate(net, tinyConfig, [batchOf([idsOf(1, 9)])]);
  await generate(net, tinyConfig, [idsOf(1, 4)], { stopIds: [], maxNewTokens: 3 });
  expect(tf.memory().numTensors).toBe(before);
});
