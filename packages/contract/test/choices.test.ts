import { expect, test } from 'vitest';
import { batchSizeAuto, describeChoices, parseModelConfig, resolveConfig } from '../src/plan/index.js';
import { RunConfig } from '../src/run-config.js';
import { CreateRunRequest } from '../src/run-request.js';

const wide = (hidden_size: number) =>
  parseModelConfig({
    model_type: 'llama',
    architectures: ['LlamaForCausalLM'],
    vocab_size: 1024,
    hidden_size,
    intermediate_size: 344,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    max_position_embeddings: 256,
  });

const resolve = (request: object, rows = 4000, width = 128) =>
  resolveConfig({
    request: CreateRunRequest.parse({ model: 'tiny', training_file: 'file-1', ...request }),
    baseName: 'tiny',
    base: wide(width),
    rows,
    seed: 1,
    templateDate: '2026-11-28',
  });
const said = (request: object, rows?: number, width?: number) =>
  describeChoices(resolve(request, rows, width)).join('\n');
const all = { batch_size: 4, hyperparameters: { n_epochs: 2 }, optimizer: { learning_rate: 1e-3 } };

test('what the request names is not explained, and nothing is stored for it', () => {
  expect(describeChoices(resolve(all))).toEqual([]);
  expect(resolve(all)).not.toHaveProperty('chosen');
  const { batch_size: _named, ...open } = all;
  expect(resolve(open).chosen?.map(({ param }) => param)).toEqual(['batch_size']);
  expect(resolve({ ...all, hyperparameters: { n_epochs: 'auto' } }).chosen?.map(({ param }) => param)).toEqual([
    'n_epochs',
  ]);
});

test('each value that is left open is said with its reason, and a stored run keeps it', () => {
  const config = resolve({});
  expect(describeChoices(config)).toEqual([
    "learning_rate 0.002 was chosen: LoRA's rate at width 128 is 0.002 (0.0005 at 2000, falling with the root of the width), lora r8 takes it.",
    'batch_size 8 was chosen: 0.2 % of 4,000 rows.',
    'n_epochs 3 was chosen: the default for every method and size; a validation file shows when it is too many.',
  ]);
  expect(RunConfig.parse(config).chosen).toEqual(config.chosen);
});

// By hand: sharing takes half; Lion a fifth of that; twice by the multiplier: 0.002 · 0.5 · 0.2 · 2 = 0.0004.
test('the rate is explained by method, width, optimiser and multiplier', () => {
  const request = {
    adapter: { type: 'mora', mora_type: 1 },
    optimizer: { type: 'lion' },
    hyperparameters: { learning_rate_multiplier: 2 },
  };
  expect(said(request)).toMatch(
    /^learning_rate 0\.0004 was chosen: LoRA's .*, mora type 1 r8 takes 0\.5 of it, lion 0\.2 of AdamW's, learning_rate_multiplier is 2\.$/m,
  );
  expect(said({ adapter: { type: 'none' } }, 100, 2000)).toMatch(
    /^learning_rate 0\.00005 was chosen: .* at width 2000 is 0\.0005 .*, full takes 0\.1 of it\.$/m,
  );
});

test.each([
  [3, 1, 'there are but 3 rows'],
  [40, 5, 'an epoch of 40 rows has 8 steps then'],
  [1000, 8, '0.2 % of 1,000 rows are 2, and 8 is the least where an epoch has 8 steps of so many'],
  [8000, 16, '0.2 % of 8,000 rows'],
  [16_000, 32, '0.2 % of 16,000 rows'],
  [1_000_000, 32, '0.2 % of 1,000,000 rows are 2,000, and 32 is the most'],
])('the batch is explained by the number of rows: %i', (rows, size, reason) => {
  expect(batchSizeAuto(rows)).toBe(size);
  expect(said({}, rows)).toContain(`batch_size ${size} was chosen: ${reason}.`);
});

test('epochs that follow from max_steps are explained by it', () => {
  expect(said({ max_steps: 500, batch_size: 8 }, 320)).toContain(
    'n_epochs 13 was chosen: max_steps is 500, and so often do steps of 8 rows go through them.',
  );
});
