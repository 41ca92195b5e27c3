import type { RunConfig } from '@moraine/contract';
import { CreateRunRequest } from '@moraine/contract';
import { parseModelConfig, resolveConfig } from '@moraine/contract/plan';
import { expect, test } from 'vitest';
import { estimateRun } from '../src/index.js';

const model = parseModelConfig({
  model_type: 'llama',
  vocab_size: 512,
  hidden_size: 64,
  intermediate_size: 172,
  num_hidden_layers: 5,
  num_attention_heads: 8,
  max_position_embeddings: 1024,
  tie_word_embeddings: true,
});

const configOf = (request: Record<string, unknown>, rows: number): RunConfig =>
  resolveConfig({
    request: CreateRunRequest.parse({ model: 'm', training_file: 'file-1', ...request }),
    baseName: 'm',
    base: model,
    rows,
    seed: 1,
    templateDate: '2026-11-28',
  });

const rows = (count: number, tokens: number): number[] => Array.from({ length: count }, () => tokens);
const of = (request: Record<string, unknown>, training = rows(64, 32), more = {}) =>
  estimateRun({
    model,
    config: configOf(request, training.length),
    device: 'cpu',
    training: [training],
    validation: null,
    evaluation: [],
    tokensPerSecond: null,
    ...more,
  });

const whole = (lengths: number[]) => ({ lengths, times: 1 });

test('equal rows are counted whole: tokens of a step, and time by a known pace', () => {
  const found = of({ batch_size: 4, max_steps: 100 }, rows(64, 32), { tokensPerSecond: 640 });
  expect(found.tokensPerStep).toBe(128);
  expect(found.computedPerStep).toBeGreaterThanOrEqual(128);
  expect(found.seconds.train).toBe((100 * 128) / 640);
  expect(found.seconds.evaluate).toBe(0);
});

test('memory grows with the batch, and full fine-tuning holds the optimiser of every weight', () => {
  const total = (request: Record<string, unknown>) => of({ packing: false, ...request }).memory.total_bytes;
  expect(total({ batch_size: 32 })).toBeGreaterThan(total({ batch_size: 2 }));
  const full = of({ adapter: { type: 'none' } }).memory.parts.trained;
  expect(full).toBeGreaterThan(3 * 4 * 280_512);
  expect(of({ adapter: { type: 'none' }, optimizer: { type: 'lion' } }).memory.parts.trained).toBe(full - 4 * 280_512);
});

test('what is kept beside the base takes memory: sums of restarts, starting values, and copies to compare with', () => {
  const weights = (request: Record<string, unknown>) => of(request).memory.parts.weights;
  const whole = { target_modules: ['q_proj'], modules_to_save: ['embeddings'] };
  const added = (adapter: Record<string, unknown>, more = {}) =>
    weights({ adapter, ...more }) - weights({ adapter: whole });
  const linear = 5 * (4 * 64 * 64 + 3 * 64 * 172); // numbers of all linear layers
  expect(added({ type: 'lora', restart: { every: 5 } })).toBeGreaterThanOrEqual(4 * linear);
  expect(added({ type: 'mora', restart: { every: 5 } })).toBeGreaterThanOrEqual(4 * linear);
  expect(added({ type: 'pissa', rank: 2 })).toBeGreaterThanOrEqual(4 * 2 * 5 * (4 * 128 + 3 * 236));
  expect(added({ type: 'lora', rank: 2, init: 'asymmetric' })).toBeGreaterThanOrEqual(4 * 2 * 5 * (6 * 64 + 172));
  expect(added(whole, { regularize: { kl_to_base: 0 } })).toBeGreaterThanOrEqual(4 * 512 * 64);
  expect(added({ type: 'lora' })).toBe(0);
});

// 5 layers, 8 heads: a second copy of the weights of attention in each, and random numbers and mask of one.
test('attention dropout keeps the weights of attention once more in every layer', () => {
  const activations = (request: Record<string, unknown>) => {
    const { memory, shapes } = of({ packing: false, batch_size: 8, ...request });
    return { bytes: memory.parts.activations, shapes: shapes.training };
  };
  const [plain, dropped] = [activations({}), activations({ attention_dropout: 0.1 })];
  const weights = Math.max(...plain.shapes.map(({ batch, time }) => 4 * batch * 8 * time * time));
  expect(dropped.bytes - plain.bytes).toBe((5 + 2) * weights);
  expect(activations({ attention_dropout: 0 })).toEqual(plain);
});

test('a file of which a quarter was read is scored as four times what was read', () => {
  const request = { batch_size: 4, max_steps: 100, evaluation: { every_steps: 10, samples: 0 } };
  const seconds = (validation: object | null, evaluation: object[]) =>
    of(request, rows(64, 32), { validation, evaluation }).seconds.evaluate;
  const file = (times: number) => ({ lengths: rows(16, 32), times });
  expect(seconds(file(4), [])).toBeCloseTo(4 * seconds(file(1), []), 9);
  expect(seconds(null, [file(4)])).toBeCloseTo(4 * seconds(null, [file(1)]), 9);
});

test('what such runs took beside their steps is the start and the export of this one', () => {
  const { start, export: written } = of({}).seconds;
  expect(start).toBeGreaterThan(6);
  const measured = of({}, rows(64, 32), { besideSeconds: 8.5 }).seconds;
  expect(measured.start + measured.export).toBeCloseTo(8.5, 9);
  expect(measured.export).toBe(written);
  expect(of({}, rows(64, 32), { besideSeconds: 0 }).seconds.start).toBe(0);
});

test('validation adds its passes to the time, samples their caches to the memory', () => {
  const request = { batch_size: 4, max_steps: 100, evaluation: { every_steps: 10, samples: 2 } };
  const scored = of(request, rows(64, 32), {
    validation: whole(rows(16, 32)),
    evaluation: [whole(rows(8, 40))],
  });
  expect(scored.seconds.evaluate).toBeGreaterThan(0);
  expect(scored.memory.parts.cache).toBe(2 * 4 * 5 * 2 * (40 + 256) * 64);
  expect(scored.memory.parts.graph).toBeGreaterThan(of(request).memory.parts.graph);
});
