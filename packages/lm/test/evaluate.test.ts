import type { Batch } from '@moraine/contract';
import { loadTf } from '@moraine/engine';
import { expect, test } from 'vitest';
import { createModel, createNet, evaluate, forward } from '../src/index.js';
import { batchOf, hostWeights, idsOf, tinyConfig, tinyWeights } from './tiny.js';

const tf = loadTf();
const shapes = [{ batch: 12, time: 16 }];
const modes = ['eager', 'plain'] as const;

/** Prompt and answer in one row each; only the answer is scored. */
function answered(pairs: readonly { prompt: number[]; answer: number[] }[]): Batch {
  const batch = batchOf(pairs.map(({ prompt, answer }) => [...prompt, ...answer]));
  for (const [row, { prompt }] of pairs.entries())
    batch.labels.fill(-100, row * batch.time, row * batch.time + prompt.length);
  return batch;
}

test.each(modes)('loss and accuracy are those of plain logits (%s)', async (mode) => {
  const model = await createModel({ config: tinyConfig, weights: hostWeights(), evaluation: shapes, mode });
  const ids = idsOf(3, 10);
  const { losses, best } = model.score(batchOf([ids]));
  const logits = forward(createNet({ weights: tinyWeights() }), tinyConfig, {
    ids: tf.tensor2d(ids, [1, 10], 'int32'),
  });
  const expected = (tf.logSoftmax(logits).arraySync() as number[][])
    .slice(0, 9)
    .map((row, t) => -(row[ids[t + 1] ?? 0] ?? 0));
  expect(losses).toHaveLength(9);
  for (const [t, loss] of expected.entries()) expect(losses[t]).toBeCloseTo(loss, 4);
  expect([...best]).toEqual([...tf.argMax(logits, 1).dataSync()].slice(0, 9));
  const result = await evaluate(model.score, [batchOf([ids])]);
  expect(result.loss).toBeCloseTo(expected.reduce((a, b) => a + b, 0) / 9, 4);
  expect(result).toMatchObject({ supervisedTokens: 9, rows: 1 });
  model.dispose();
});

test('a row matches exactly when every answer token is the most likely one', async () => {
  const model = await createModel({ config: tinyConfig, weights: hostWeights(), evaluation: shapes });
  const prompt = idsOf(5, 6);
  const follow = (ids: readonly number[]) => model.score(batchOf([[...ids, 1]])).best.at(-1) ?? 0;
  const right = [follow(prompt)];
  right.push(follow([...prompt, ...right]));
  const wrong = [right[0] ?? 0, ((right[1] ?? 0) + 1) % 40];
  const both = answered([
    { prompt, answer: right },
    { prompt, answer: wrong },
  ]);
  const result = await evaluate(model.score, [both]);
  expect(result).toMatchObject({ rows: 2, exactMatch: 0.5, tokenAccuracy: 0.75, supervisedTokens: 4 });
  model.dispose();
});

test('packed documents count as rows of their own', async () => {
  const model = await createModel({ config: tinyConfig, weights: hostWeights(), evaluation: shapes });
  const [a, b] = [idsOf(1, 6), idsOf(2, 8)];
  const apart = await evaluate(model.score, [batchOf([a, b])]);
  const packed = await evaluate(model.score, [batchOf([[...a, ...b]], [[...a.map(() => 0), ...b.map(() => 1)]])]);
  expect(packed.rows).toBe(2);
  expect(packed.loss).toBeCloseTo(apart.loss, 5);
  model.dispose();
});
