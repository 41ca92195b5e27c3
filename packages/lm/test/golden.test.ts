import type { Batch, BatchShape } from '@moraine/contract';
import { compile, type NumericMode, type Session, signature } from '@moraine/engine';
import { describe, expect, test } from 'vitest';
import { feedBatch, feedSources, supervised } from '../src/batch.js';
import { createOptimizer, forward, gradName, microName, trainingProgram } from '../src/index.js';
import { scopeNet } from '../src/program.js';
import { BF16, BF16_RESTARTED, type Bounds, EAGER_IS_TRACED, FLOAT32, XLA } from './bounds.js';
import {
  difference,
  type Golden,
  goldenOf,
  goldenRows,
  isCompiledOnce,
  isSteppedIn,
  isTestedIn,
  packed,
  worst,
} from './golden-set.js';
import { distances, runTenSteps } from './golden-steps.js';

const MODES: [mode: NumericMode, bounds: Bounds][] = [
  ['eager', FLOAT32],
  ['plain', FLOAT32],
  ['bf16', BF16],
  ['xla', XLA],
];

type Row = (typeof goldenRows)[number];

/** A method without frozen matrices computes in float32 in every mode. */
function boundsOf({ method }: Row, ofMode: Bounds): Bounds {
  if (ofMode !== BF16) return ofMode;
  if (method.type === 'none') return FLOAT32;
  return 'restart' in method ? BF16_RESTARTED : BF16;
}

describe.each(MODES)('PyTorch and %s', (mode, ofMode) => {
  const casesOf = (rows: Row[]) => rows.map((row) => [row.name, row, boundsOf(row, ofMode)] as const);
  const rows = goldenRows.filter((row) => isTestedIn(mode, row));

  test.each(casesOf(rows))('%s: logits, loss and every gradient agree, packed or not', async (_name, row, bounds) => {
    const golden = goldenOf(row);
    const { nodes, logits, forms } = await firstBatch(row, mode);
    expect(nodes > 0, 'a graph is at work').toBe(mode !== 'eager');
    expect(difference(logits, golden.logits.data), 'logits').toBeLessThan(bounds.logits);
    for (const [form, { loss, grads }] of Object.entries(forms)) {
      expect(difference([loss], [golden.loss]), `loss, ${form}`).toBeLessThan(bounds.loss);
      const { name, value } = worst(grads, golden.grads);
      expect(value, `gradient of ${name}, ${form}`).toBeLessThan(bounds.gradients);
    }
  });

  test.each(casesOf(goldenRows.filter((row) => isSteppedIn(mode, row))))(
    '%s: ten losses and the parameters after them agree',
    async (_name, row, bounds) => {
      const [golden, ran] = [goldenOf(row), await tenSteps(row, mode)];
      const rates = ran.steps.map(({ learningRate }) => learningRate);
      expect(difference(rates, golden.learningRates), 'rates').toBeLessThan(1e-12);
      for (const [what, value, bound] of distances(golden, ran)) expect(value, what).toBeLessThan(bounds[bound]);
    },
  );
});

describe('PyTorch and xla, of the methods that compute otherwise than LoRA', () => {
  const cases = goldenRows.filter(isCompiledOnce).map((row) => [row.name, row] as const);

  test.each(cases)('%s: loss and every gradient agree', async (_name, row) => {
    const golden = goldenOf(row);
    const session = await programOf(golden, 'xla', [golden.batch]);
    try {
      const { loss, grads } = gradients(session, golden.batch, [...golden.grads.keys()]);
      expect(difference([loss], [golden.loss]), 'loss').toBeLessThan(XLA.loss);
      const { name, value } = worst(grads, golden.grads);
      expect(value, `gradient of ${name}`).toBeLessThan(XLA.gradients);
    } finally {
      session.dispose();
    }
  });
});

// The expected numbers are those of eager operations, which the tests above hold to PyTorch's.
describe('a traced step and the same operations one by one', () => {
  const cases = goldenRows.filter((row) => isTestedIn('eager', row)).map((row) => [row.name, row] as const);

  test.each(cases)('%s: every tensor of its first batch agrees to 1e-4 of its largest number', async (_name, row) => {
    const [eager, traced] = [await firstBatch(row, 'eager'), await firstBatch(row, 'plain')];
    expect(difference(traced.logits, eager.logits), 'logits').toBeLessThan(EAGER_IS_TRACED);
    for (const form of ['rows', 'packed'] as const) {
      expect(difference([traced.forms[form].loss], [eager.forms[form].loss]), form).toBeLessThan(EAGER_IS_TRACED);
      const gradient = worst(traced.forms[form].grads, eager.forms[form].grads);
      expect(gradient.value, `gradient of ${gradient.name}, ${form}`).toBeLessThan(EAGER_IS_TRACED);
    }
  });

  const stepped = goldenRows.filter((row) => isSteppedIn('eager', row)).map((row) => [row.name, row] as const);

  test.each(stepped)('%s: ten losses and every variable agree to 1e-4 of its largest number', async (_name, row) => {
    const [eagerly, replayed] = [await tenSteps(row, 'eager'), await tenSteps(row, 'plain')];
    const losses = ({ steps }: typeof eagerly) => steps.map(({ loss }) => loss);
    expect(difference(losses(replayed), losses(eagerly)), 'ten losses').toBeLessThan(EAGER_IS_TRACED);
    const after = worst(replayed.variables, eagerly.variables);
    expect(after.value, `${after.name} after ten steps`).toBeLessThan(EAGER_IS_TRACED);
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

/** Computes something of a row in a mode once, for all tests that look at it. */
function once<T>(compute: (row: Row, mode: NumericMode) => Promise<T>): typeof compute {
  const known = new Map<string, Promise<T>>();
  return (row, mode) => {
    const key = `${mode} ${row.file}`;
    const found = known.get(key) ?? compute(row, mode);
    known.set(key, found);
    return found;
  };
}

/** Logits of the real tokens [N, V], mean loss and every gradient of the first batch, as its rows and packed into one. */
const firstBatch = once(async (row, mode) => {
  const golden = goldenOf(row);
  const { batch, realPositions, config, grads } = golden;
  const together = packed(batch, realPositions);
  const session = await programOf(golden, mode, [batch, together]);
  try {
    const all = session.run('logits', { ids: batch.ids }).logits ?? new Float32Array();
    const logitsAt = (at: number) => [...all.subarray(at * config.vocabSize, (at + 1) * config.vocabSize)];
    const of = (given: Batch) => gradients(session, given, [...grads.keys()]);
    const forms = { rows: of(batch), packed: of(together) };
    return { nodes: session.timings.nodes, logits: realPositions.flatMap(logitsAt), forms };
  } finally {
    session.dispose();
  }
});

const tenSteps = once(runTenSteps);

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
