import { expect, test } from 'vitest';
import { CreateRunRequest, parse, takesBest } from '../src/index.js';
import { parseModelConfig, resolveConfig } from '../src/plan/index.js';

const base = parseModelConfig({
  model_type: 'llama',
  vocab_size: 64,
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  max_position_embeddings: 32,
});
const resolve = (request: object, validates = true) =>
  resolveConfig({
    request: parse(CreateRunRequest, { model: 'm', training_file: 'f', max_steps: 40, ...request }),
    baseName: 'm',
    base,
    rows: 100,
    validates,
    seed: 1,
    templateDate: '2026-11-28',
  });

test('the best checkpoint is kept where there is a validation file, unless that is not wanted', () => {
  expect(resolve({}).checkpoint).toEqual({ every_steps: 0, every_seconds: 60, keep_last: 3, keep_best: true });
  expect(resolve({}, false).checkpoint.keep_best).toBe(false);
  expect(resolve({ checkpoint: { keep_best: false } }).checkpoint.keep_best).toBe(false);
  expect(resolve({ checkpoint: { keep_best: 4 } }).checkpoint.keep_best).toBe(4);
});

test('the result is of the last step unless the best is asked for, or the run may end early', () => {
  const takes = (request: Record<string, unknown>): boolean => takesBest(resolve(request));
  expect(takes({})).toBe(false);
  expect(takes({ checkpoint: { result: 'best' } })).toBe(true);
  expect(takes({ early_stopping: { patience: 3 } })).toBe(true);
  expect(takes({ early_stopping: { patience: 3 }, checkpoint: { result: 'last', keep_best: false } })).toBe(false);
});

test.each([0, 101, 1.5, 'two'])('as many best checkpoints as %j are not kept', (keep_best) => {
  expect(() => resolve({ checkpoint: { keep_best } })).toThrow(
    expect.objectContaining({ param: 'checkpoint.keep_best' }),
  );
});

test('a run goes on to its last step unless it is asked to stop early', () => {
  expect(resolve({})).not.toHaveProperty('early_stopping');
  expect(resolve({ early_stopping: null })).not.toHaveProperty('early_stopping');
  expect(resolve({ early_stopping: { patience: 3 } }).early_stopping).toEqual({ patience: 3, min_delta: 0 });
});

test.each([
  ['early_stopping', { early_stopping: { patience: 1 } }, false, /follows the validation loss, but there is no valid/],
  ['checkpoint.keep_best', { checkpoint: { keep_best: true } }, false, /there is no validation file/],
  ['checkpoint.keep_best', { checkpoint: { keep_best: 2 } }, false, /there is no validation file/],
  ['checkpoint.keep_best', { early_stopping: { patience: 1 }, checkpoint: { keep_best: false } }, true, /ends with/],
  [
    'checkpoint.keep_best',
    { checkpoint: { result: 'best', keep_best: false } },
    true,
    /checkpoint\.result takes the best/,
  ],
  ['checkpoint.result', { checkpoint: { result: 'best' } }, false, /there is no validation file/],
  ['evaluation.every_steps', { early_stopping: { patience: 1 }, evaluation: { every_steps: 40 } }, true, /has one/],
])("what a run has no validations for is refused: '%s'", (param, request, validates, message) => {
  expect(() => resolve(request, validates)).toThrow(
    expect.objectContaining({ code: 'invalid_value', param, message: expect.stringMatching(message) }),
  );
});

test('the resume is checked where that is asked for', () => {
  expect(resolve({})).not.toHaveProperty('verify_resume');
  expect(resolve({ verify_resume: false })).not.toHaveProperty('verify_resume');
  expect(resolve({ verify_resume: true }).verify_resume).toBe(true);
});

test.each([
  ['verify_resume', { verify_resume: true, max_steps: 1 }, /but this run has one step/],
  ['checkpoint.keep_last', { verify_resume: true, checkpoint: { keep_last: 1 } }, /but checkpoint.keep_last is 1/],
])("a resume that could not be checked is refused: '%s'", (param, request, message) => {
  expect(() => resolve(request)).toThrow(expect.objectContaining({ param, message: expect.stringMatching(message) }));
});

test.each([
  ['early_stopping.patience', { patience: 0 }],
  ['early_stopping.patience', { patience: 1.5 }],
  ['early_stopping.patience', { min_delta: 0.1 }],
  ['early_stopping.min_delta', { patience: 1, min_delta: -0.1 }],
])("a value that means nothing is refused by its key: '%s'", (param, early_stopping) => {
  expect(() => resolve({ early_stopping })).toThrow(expect.objectContaining({ param }));
});
