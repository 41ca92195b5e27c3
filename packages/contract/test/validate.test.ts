import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import {
  AppError,
  CreateRunRequest,
  editDistance,
  errorBody,
  nearest,
  parse,
  RunConfig,
  storedRunConfig,
} from '../src/index.js';

/** The error that parsing `input` throws. */
function refusal(schema: z.ZodType, input: unknown, where?: string): AppError {
  try {
    parse(schema, input, where);
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
  throw new Error('was accepted');
}

const good = { model: 'tiny', training_file: 'file-1' };

describe('a request that is refused', () => {
  test('takes no time in proportion to what it calls its keys and values, and quotes no more than the beginning', () => {
    const long = 'lr'.repeat(2_000_000);
    const begun = performance.now();
    const errors = [
      refusal(CreateRunRequest, { ...good, [long]: 1 }),
      refusal(CreateRunRequest, { ...good, adapter: { [long]: 1 } }),
      refusal(CreateRunRequest, { ...good, data_mix: [{ file_id: 'f', [long]: 1 }] }),
      refusal(CreateRunRequest, { ...good, schedule: { type: long } }),
      refusal(CreateRunRequest, { ...good, schedule: long }),
    ];
    expect(nearest(long, ['lr', 'seed'])).toBeNull();
    expect(editDistance(long, 'lr')).toBe(Number.POSITIVE_INFINITY);
    for (const error of errors) expect(JSON.stringify(errorBody(error)).length).toBeLessThan(7_000);
    expect(performance.now() - begun).toBeLessThan(2_000);
  });

  test('names an unknown key and the nearest valid one, at any depth', () => {
    expect(refusal(CreateRunRequest, { ...good, max_step: 3 })).toMatchObject({
      code: 'unknown_key',
      param: 'max_step',
      hint: "Did you mean 'max_steps'?",
    });
    expect(refusal(CreateRunRequest, { ...good, optimizer: { learningrate: 1 } })).toMatchObject({
      param: 'optimizer.learningrate',
      hint: "Did you mean 'optimizer.learning_rate'?",
    });
    expect(
      refusal(CreateRunRequest, {
        ...good,
        method: { type: 'supervised', supervised: { hyperparameters: { epochs: 1 } } },
      }),
    ).toMatchObject({
      param: 'method.supervised.hyperparameters.epochs',
      hint: "Did you mean 'method.supervised.hyperparameters.n_epochs'?",
    });
  });

  test('names a required key that was misspelt as such, and does not say that it is missing', () => {
    expect(refusal(CreateRunRequest, { modle: 'tiny', training_file: 'file-1' })).toMatchObject({
      code: 'unknown_key',
      hint: "Did you mean 'model' or 'mode'?",
    });
  });

  test('lists the valid keys where none is near', () => {
    const { hint } = refusal(CreateRunRequest, { ...good, schedule: { xyzzy: 1 } });
    expect(hint).toBe('Valid keys here: type, warmup_steps, warmup_ratio, min_ratio, cooldown_steps.');
  });

  test('shows the value that came and the words that are valid', () => {
    const error = refusal(CreateRunRequest, { ...good, over_length: 'trunkate' });
    expect(error).toMatchObject({ code: 'invalid_value', param: 'over_length', hint: 'Did you mean "truncate"?' });
    expect(error.message).toContain('"trunkate"');
    expect(error.message).toContain('"drop"');
  });

  test('says what is missing, and where a number is out of its range', () => {
    expect(refusal(CreateRunRequest, { model: 'tiny' }).message).toContain("'training_file' is missing");
    expect(refusal(CreateRunRequest, { ...good, adapter: { rank: 2.5 } }).message).toContain("'adapter.rank' is 2.5");
    expect(refusal(CreateRunRequest, { ...good, evaluation: { files: ['a', 3] } })).toMatchObject({
      param: 'evaluation.files[1]',
    });
    expect(refusal(CreateRunRequest, undefined).message).toContain("'body' is missing");
  });

  test('says of a value that may be of several kinds what is wrong with one of its kind, or which kinds there are', () => {
    const of = (body: object) => refusal(CreateRunRequest, { ...good, ...body });
    expect(of({ evaluation: { files: [{ id: 'file-2', role: 'source' }] } })).toMatchObject({
      code: 'unknown_key',
      param: 'evaluation.files[0].id',
      hint: 'Valid keys here: file_id, role, during.',
    });
    expect(of({ evaluation: { files: ['file-2', { file_id: 'file-3', roll: 'source' }] } })).toMatchObject({
      param: 'evaluation.files[1].roll',
      hint: "Did you mean 'evaluation.files[1].role'?",
    });
    expect(of({ evaluation: { files: [{ file_id: 'file-3', role: 'sauce' }] } })).toMatchObject({
      param: 'evaluation.files[0].role',
      hint: 'Did you mean "source"?',
    });
    expect(of({ evaluation: { files: [3] } }).message).toBe("'evaluation.files[0]' is 3: it must be string or object.");
    expect(of({ data_mix: [{ file: 'file-2' }] }).hint).not.toContain('training_file');
    expect(of({ hyperparameters: { batch_size: 300 } }).message).toContain('<=256');
    expect(of({ hyperparameters: { batch_size: 'atuo' } }).message).toBe(
      '\'hyperparameters.batch_size\' is "atuo": it must be "auto" or number.',
    );
  });

  test.each([
    [{ optimizer: 'adamw' }, 'optimizer', 'Write {"type":"adamw"}.'],
    [{ schedule: 'cosine' }, 'schedule', 'Write {"type":"cosine"}.'],
    [{ adapter: 'LoRA' }, 'adapter', 'Write {"type":"lora"}.'],
    [{ method: 'supervised' }, 'method', 'Write {"type":"supervised"}.'],
    [{ checkpoint: 'best' }, 'checkpoint', 'Write {"result":"best"}.'],
    [{ early_stopping: 5 }, 'early_stopping', 'Write {"patience":5}.'],
    [{ hyperparameters: 3 }, 'hyperparameters', 'Write an object with keys of these: n_epochs, batch_size, '],
    [{ adapter: null }, 'adapter', 'Write an object with keys of these: type, rank, '],
    [{ adapter: { target_modules: 'q_proj' } }, 'adapter.target_modules', 'Write ["q_proj"].'],
    [{ evaluation: { files: 'file-1' } }, 'evaluation.files', 'Write ["file-1"].'],
    [{ data_mix: 'file-1' }, 'data_mix', 'Write [{"file_id":"file-1"}].'],
    [{ data_mix: { file_id: 'file-1' } }, 'data_mix', 'Write [{"file_id":"file-1"}].'],
    [{ seed: '7' }, 'seed', 'Correct this value and send the request again.'],
  ])('shows the object or list to write where something simpler came: %j', (body, param, hint) => {
    expect(refusal(CreateRunRequest, { ...good, ...body })).toMatchObject({
      code: 'invalid_value',
      param,
      hint: expect.stringContaining(hint),
    });
  });

  test('says where the value stood', () => {
    expect(refusal(z.object({ PORT: z.coerce.number() }), { PORT: 'x' }, ' in the environment').message).toContain(
      '\'PORT\' is "x" in the environment',
    );
  });

  test('keeps a long value short', () => {
    expect(refusal(CreateRunRequest, { ...good, seed: 'x'.repeat(500) }).message.length).toBeLessThan(250);
  });

  test('never takes text for a number', () => {
    for (const body of [{ seed: '7' }, { max_steps: '10' }, { adapter: { rank: '8' } }]) {
      expect(refusal(CreateRunRequest, { ...good, ...body }).code).toBe('invalid_value');
    }
  });
});

test('a good request comes back with the adapter keys that were written and no others; their defaults come with the base', () => {
  const request = parse(CreateRunRequest, { ...good, adapter: {} });
  expect(request.adapter).toEqual({});
  expect(request.schedule).toBeUndefined();
});

test('a stored configuration of an earlier version is completed: packed, in plain mode', () => {
  const stored = { base: 'tiny', steps: 3 };
  expect(storedRunConfig(stored)).toEqual({ base: 'tiny', steps: 3, packing: true, mode: 'plain' });
  expect(storedRunConfig({ ...stored, packing: false, mode: 'xla' })).toMatchObject({ packing: false, mode: 'xla' });
  expect(RunConfig.shape.mode.parse(undefined)).toBe('plain');
});

describe('the nearest name', () => {
  // Worked out by hand.
  test.each([
    ['', 'abc', 3],
    ['rank', 'rank', 0],
    ['rnak', 'rank', 1],
    ['epoch', 'n_epochs', 3],
    ['kitten', 'sitting', 3],
  ])('%s is %s after %i edits', (a, b, edits) => {
    expect(editDistance(a, b)).toBe(edits);
    expect(editDistance(b, a)).toBe(edits);
  });

  test('is none when nothing is near, and does not mind capitals', () => {
    expect(nearest('zzzzzzzz', ['rank', 'alpha'])).toBeNull();
    expect(nearest('Rank', ['rank', 'alpha'])).toBe('rank');
    expect(nearest('x', [])).toBeNull();
  });
});
