import { expect, test } from 'vitest';
import { isNestedDeeper, parseModelConfig } from '../src/plan/index.js';

test.each([
  ['[[1]]', 2, false],
  ['[[1]]', 1, true],
  ['{"a":[{}]}', 3, false],
  ['{"a":[{}]}', 2, true],
  ['[],[],[]', 1, false],
  ['["[[[[", "\\"[[[", "\\\\", []]', 2, false],
  ['"[[[[', 0, false],
])('%s nests deeper than %i: %s', (text, depthMax, isDeeper) => expect(isNestedDeeper(text, depthMax)).toBe(isDeeper));

const CONFIG = {
  model_type: 'llama',
  vocab_size: 8,
  hidden_size: 4,
  intermediate_size: 6,
  num_hidden_layers: 1,
  num_attention_heads: 2,
};

test.each([
  ['num_hidden_layers', 1_024],
  ['vocab_size', 2 ** 24],
  ['hidden_size', 2 ** 18],
  ['intermediate_size', 2 ** 20],
  ['max_position_embeddings', 2 ** 31 - 1],
])('config.json takes %s of at most %i', (key, most) => {
  expect(() => parseModelConfig({ ...CONFIG, [key]: most })).not.toThrow();
  expect(() => parseModelConfig({ ...CONFIG, [key]: most + 1 })).toThrow(`${key}: ${most + 1} is more than ${most}`);
});

test('nothing is built of the layers of a config that has too many', () => {
  const begun = process.memoryUsage().heapUsed;
  expect(() => parseModelConfig({ ...CONFIG, num_hidden_layers: 50_000_000 })).toThrow(/num_hidden_layers: 50000000/);
  expect(process.memoryUsage().heapUsed - begun).toBeLessThan(50 * 2 ** 20);
});
