import { expect, test } from 'vitest';
import { CreateRunRequest, parse } from '../src/index.js';
import {
  countAgain,
  describeShare,
  epochDraws,
  mixedFilesOf,
  mixShares,
  parseModelConfig,
  resolveConfig,
} from '../src/plan/index.js';

const base = parseModelConfig({
  model_type: 'llama',
  vocab_size: 64,
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  max_position_embeddings: 32,
});
const requestOf = (keys: object) => parse(CreateRunRequest, { model: 'm', training_file: 'new', ...keys });
const mixOf = (data_mix?: object[]) => mixedFilesOf(requestOf({ data_mix }), 'new');
const resolve = (keys: object, rows: number[]) => {
  const request = requestOf(keys);
  const mix = mixedFilesOf(request, 'new');
  const shared = { request, baseName: 'm', base, seed: 1, templateDate: '2026-11-28' };
  return resolveConfig({ ...shared, rows: epochDraws(mix, rows), mix });
};
const old = { file_id: 'old', weight: 1, role: 'source' };

test('the training file comes first, a target of weight 1; other files have weight 1 and are targets unless they say so', () => {
  expect(mixOf([{ file_id: 'more' }, { ...old, weight: 0.5 }])).toEqual([
    { file_id: 'new', weight: 1, role: 'target', param: 'training_file' },
    { file_id: 'more', weight: 1, role: 'target', param: 'data_mix[0]' },
    { file_id: 'old', weight: 0.5, role: 'source', param: 'data_mix[1]' },
  ]);
});

test('an entry that names the training file gives its weight', () => {
  const mix = mixOf([old, { file_id: 'new', weight: 7 }]);
  expect(mix?.map(({ file_id, weight }) => [file_id, weight])).toEqual([
    ['new', 7],
    ['old', 1],
  ]);
});

test('a run without another file has no mix', () => {
  expect(mixOf()).toBeUndefined();
  expect(mixOf([])).toBeUndefined();
  expect(mixOf([{ file_id: 'new', weight: 7 }])).toBeUndefined();
  expect(resolve({}, [40])).not.toHaveProperty('data_mix');
});

test.each([
  ['data_mix[1].file_id', [old, { file_id: 'old', weight: 2 }], /'old', which data_mix\[0\] names too/],
  ['data_mix[0].role', [{ file_id: 'new', role: 'source' }, old], /source, but 'new' is the training file/],
])('a mix that says two things of a file is refused: %s', (param, data_mix, message) => {
  expect(() => mixOf(data_mix)).toThrow(
    expect.objectContaining({ code: 'invalid_value', param, message: expect.stringMatching(message) }),
  );
});

test.each([
  ['data_mix[0].weight', { file_id: 'old', weight: 0 }],
  ['data_mix[0].weight', { file_id: 'old', weight: '2' }],
  ['data_mix[0].role', { file_id: 'old', role: 'both' }],
  ['data_mix[0].share', { file_id: 'old', share: 2 }],
])('an entry that means nothing is refused by its key: %s', (param, entry) => {
  expect(() => requestOf({ data_mix: [entry] })).toThrow(expect.objectContaining({ param }));
});

// By hand: 70 target rows at 7 of 8 draws are 80 draws an epoch; two targets of 30 and 10 rows with 4 of 5 draws are 40 / 0.8 = 50.
test('an epoch draws as many target rows as the targets have, and the sources beside them', () => {
  expect(epochDraws(undefined, [70])).toBe(70);
  expect(epochDraws(mixOf([{ file_id: 'new', weight: 7 }, old]), [70, 5])).toBe(80);
  expect(epochDraws(mixOf([{ file_id: 'new', weight: 3 }, { file_id: 'more' }, old]), [30, 10, 999])).toBe(50);
  expect(epochDraws(mixOf([{ ...old, weight: 0.1 }]), [100, 5])).toBe(110);
});

test('steps follow from the rows of an epoch, at first and when rows were left out', () => {
  const config = resolve({ data_mix: [{ file_id: 'new', weight: 7 }, old], batch_size: 8 }, [70, 5]);
  expect(config).toMatchObject({
    steps: 30,
    n_epochs: 3,
    data_mix: [
      { file_id: 'new', weight: 7, role: 'target' },
      { file_id: 'old', weight: 1, role: 'source' },
    ],
  });
  expect(countAgain(config, epochDraws(config.data_mix, [35, 5])).steps).toBe(15);
  expect(resolve({ data_mix: [old], batch_size: 8, max_steps: 20 }, [40, 1])).toMatchObject({ steps: 20, n_epochs: 2 });
});

test('a divergence on replay needs a file of the role source', () => {
  const regularize = { kl_to_base: 0.5, on: 'replay' };
  expect(resolve({ regularize, data_mix: [old] }, [40, 4]).regularize).toEqual(regularize);
  for (const data_mix of [undefined, [{ file_id: 'more' }]]) {
    expect(() => resolve({ regularize, data_mix }, [40, 4])).toThrow(
      expect.objectContaining({ code: 'invalid_value', param: 'regularize.on' }),
    );
  }
});

// 12 steps of 8 rows: 84 of the training file's 42 rows, 12 of the other's 24. Tokens: 7 x 10 against 1 x 30.
test('the share of each file is said in rows, tokens and passes', () => {
  const mix = mixOf([{ file_id: 'new', weight: 7 }, old]);
  const shares = mixShares({ data_mix: mix, steps: 12, batch_size: 8 }, [
    { rows: 42, tokens: 420 },
    { rows: 24, tokens: 720 },
  ]);
  expect(shares).toEqual([
    { role: 'target', weight: 7, rows_share: 0.875, tokens_share: 0.7, passes: 2 },
    { role: 'source', weight: 1, rows_share: 0.125, tokens_share: 0.3, passes: 0.5 },
  ]);
  expect(shares[1] && describeShare('Old rows', shares[1])).toBe(
    'Old rows: source, 12.5 % of the rows and 30 % of the tokens; a row is shown 0.5 times.',
  );
  expect(mixShares({ steps: 12, batch_size: 8 }, [{ rows: 42, tokens: 420 }])).toEqual([]);
});
