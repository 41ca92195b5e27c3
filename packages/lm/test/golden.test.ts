import type { Batch, BatchShape } from '@moraine/contract';
import { compile, type NumericMode, type Session, signature } from '@moraine/engine';
import { describe, expect, test } from 'vitest';
import { feedBatch, feedSources, supervised } from '../src/batch.js';
import { createOptimizer, createTrainer, forward, gradName, microName, trainingProgram } from '../src/index.js';
import { scopeNet } from '../src/program.js';
import { BF16, BF16_RESTARTED, type Bounds, FLOAT32 } from './bounds.js';
import { difference, type Golden, goldenOf, goldenRows, isTestedIn, packed, worst } from './golden-set.js';

const MODES: [mode: NumericMode, bounds: Bounds][] = [
  ['eager', FLOAT32],
  ['plain', FLOAT32],
  ['bf16', BF16],
  ['xla', FLOAT32],
];

/** A method without frozen matrices computes in float32 in every mode. */
function boundsOf({ method }: (typeof goldenRows)[number], ofMode: Bounds): Bounds {
  if (ofMode !== BF16) return ofMode;
  if (method.type === 'none') return FLOAT32;
  return 'restart' in method ? BF16_RESTARTED : BF16;
}

describe.each(MODES)('PyTorch and %s', (mode, ofMode) => {
  const cases = goldenRows
    .filter((row) => isTestedIn(mode, row))
    .map((row) => [row.name, row, boundsOf(row, ofMode)] as const);

  test.each(cases)('%s: logits, loss and every gradient agree, packed or not', async (_name, row, bounds) => {
    const golden = goldenOf(row);
    const { batch, realPositions, config } = golden;
    const together = packed(batch, realPositions);
    const session = await programOf(golden, mode, [batch, together]);
    try {
      expect(session.timings.nodes > 0, 'a graph is at work').toBe(mode !== 'eager');
      const all = session.run('logits', { ids: batch.ids }).logits ?? new Float32Array();
      const logitsAt = (at: number) => [...all.subarray(at * config.vocabSize, (at + 1) * config.vocabSize)];
      expect(difference(realPositions.flatMap(logitsAt), golden.logits.data), 'logits').toBeLessThan(bounds.logits);
      for (const [form, given] of Object.entries({ rows: batch, packed: together })) {
        const { loss, grads } = gradients(session, given, [...golden.grads.keys()]);
        expect(difference([loss], [golden.loss]), `loss, ${form}`).toBeLessThan(bounds.loss);
        const { name, value } = worst(grads, golden.grads);
        expect(value, `gradient of ${name}, ${form}`).toBeLessThan(bounds.gradients);
      }
    } finally {
      session.dispose();
    }
  });

  // The program's shape is larger than the micro-batches, so padding is part of what must not show.
  test.each(cases)('%s: ten losses and the parameters after them agree', async (_name, row, bounds) => {
    const { config, weights, adapter, whole, start, batch, batches, schedule, ...golden } = goldenOf(row);
    const { klToBase, klOn, hasSources } = golden;
    const optimizer = createOptimizer(golden.optimizer);
    const shapes = [{ batch: 5, time: 20 }];
    const options = {
      config,
      weights,
      adapter,
      whole,
      klToBase,
      klOn,
      hasSources,
      optimizer,
      schedule,
      seed: 1,
      mode,
      shapes,
      evaluation: shapes,
    };
    const trainer = await createTrainer(options);
    try {
      trainer.load({ ...trainer.state(), trainable: start });
      const { losses } = trainer.score(batch);
      const mean = losses.reduce((sum, nats) => sum + nats, 0) / losses.length;
      expect(difference([mean], [golden.loss]), 'evaluation').toBeLessThan(bounds.loss);
      const steps = golden.losses.map(() => trainer.step(batches));
      const column = (key: 'loss' | 'gradNorm' | 'learningRate') => steps.map((step) => step[key]);
      expect(difference(column('learningRate'), golden.learningRates), 'rates').toBeLessThan(1e-12);
      expect(difference(column('loss'), golden.losses), 'losses').toBeLessThan(bounds.losses);
      if (golden.divergences) {
        const apart = steps.map((step) => step.klToBase ?? Number.NaN);
        expect(difference(apart, golden.divergences), 'divergence from the base').toBeLessThan(bounds.divergences);
      }
      if (golden.sourceLosses) {
        const ofSources = steps.map((step) => step.lossByRole?.source ?? Number.NaN);
        expect(difference(ofSources, golden.sourceLosses), 'loss of source rows').toBeLessThan(bounds.losses);
      }
      expect(difference(column('gradNorm'), golden.gradNorms), 'gradient norms').toBeLessThan(bounds.gradNorms);
      const { name, value } = worst(trainer.variables(), golden.after);
      expect(value, `${name} after the last step`).toBeLessThan(bounds.parameters);
    } finally {
      trainer.dispose();
    }
  });
});

test('mode bf16 rounds the frozen matrices: its loss is not that of float32, and is that of full fine-tuning, which freezes none', async () => {
  const lossIn = async (name: string, mode: NumericMode): Promise<number> => {
    const row = goldenRows.find((one) => one.name === name);
    if (row === undefined) throw new Error(`no row ${name}`);
    const golden = goldenOf(row);
    const session = await programOf(golden, mode, [golden.batch]);
    try {
      return gradients(session, golden.batch, [...golden.grads.keys()]).loss;
    } finally {
      session.dispose();
    }
  };
  const lora = 'llama-tied, lora';
  expect(Math.abs((await lossIn(lora, 'bf16')) - (await lossIn(lora, 'plain')))).toBeGreaterThan(1e-5);
  expect(await lossIn('llama-tied, full', 'bf16')).toBe(await lossIn('llama-tied, full', 'plain'));
});

test('every row of the golden set has gradients and losses that say something', () => {
  const shares: number[] = [];
  for (const row of goldenRows) {
    const { grads, losses, gradNorms, start, after, optimizer } = goldenOf(row);
    expect([...start.keys()], row.name).toEqual(expect.arrayContaining([...grads.keys()]));
    for (const [name, { data }] of grads) expect(Math.max(...data), name).toBeGreaterThan(1e-3);
    expect(losses).toHaveLength(10);
    expect(losses[9], row.name).toBeLessThan(0.9 * (losses[0] ?? 0));
    expect(worst(after, start).value).toBeGreaterThan(0.01);
    shares.push(...gradNorms.map((norm) => norm / optimizer.maxGradNorm));
  }
  expect(Math.max(...shares), 'some gradients are clipped').toBeGreaterThan(1);
  expect(Math.min(...shares), 'and some are not').toBeLessThan(1);
});

/** The program that a trainer runs, with one signature more, which gives the logits of every position. */
async function programOf(golden: Golden, mode: NumericMode, shapes: BatchShape[]) {
  const { config, weights, adapter, whole, klToBase, klOn, hasSources, start, batch } = golden;
  const optimizer = createOptimizer(golden.optimizer);
  const aims = { klToBase, klOn, hasSources };
  const { program } = trainingProgram({ config, weights, adapter, whole, ...aims, optimizer, seed: 1, shapes });
  const parts = { config, adapter, adapterNames: adapter === null ? [] : [...start.keys()] };
  const logits = signature({
    feeds: { ids: { shape: [batch.batch, batch.time], dtype: 'int32' } },
    build: ({ ids }, scope) => ({ logits: forward(scopeNet(parts, scope), config, { ids }) }),
  });
  const session = await compile({ ...program, signatures: { ...program.signatures, logits } }, { mode });
  session.write(start);
  return session;
}

/** Mean loss of a batch and its gradients. */
function gradients(session: Session, batch: Batch, names: readonly string[]) {
  const sums = names.map((name) => gradName(name));
  const zeros = [...session.read(sums)].map(
    ([name, { shape, data }]) => [name, { shape, data: data.fill(0) }] as const,
  );
  session.write(new Map(zeros));
  const found = supervised(batch);
  const count = found.positions.length;
  const sources = batch.sources && { sources: feedSources(batch, batch, found) };
  const { lossSum = [] } = session.run(microName(batch), { ...feedBatch(batch, batch, found), ...sources });
  const read = session.read(sums);
  const means = names.map((name) => {
    const { shape, data } = read.get(gradName(name)) ?? { shape: [], data: new Float32Array() };
    return [name, { shape, data: data.map((x) => x / count) }] as const;
  });
  return { loss: (lossSum[0] ?? Number.NaN) / count, grads: new Map(means) };
}
