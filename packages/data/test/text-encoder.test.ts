import { expect, test } from 'vitest';
import { createTextEncoder } from '../src/text-encoder.js';

const TOKEN = { content: '<t>', special: true };
/** More letters than are kept. */
const COUNT = 2 ** 20 + 1;

test('a section that is too long to be kept has the tokens of its words, the first letter known', () => {
  const pre_tokenizer = { type: 'Metaspace', replacement: '_', prepend_scheme: 'first' };
  const encode = createTextEncoder({ added_tokens: [TOKEN], normalizer: null, pre_tokenizer }, (word) => [word]);
  const long = 'a'.concat(' a'.repeat(COUNT));
  const tokens = encode(`${long}<t>${long}<t>b c`) ?? [];
  const same = new Array<string>(COUNT).fill('_a');
  const expected = ['_a', ...same, '<t>', 'a', ...same, '<t>', 'b', '_c'];
  expect(tokens.length).toBe(expected.length);
  expect(tokens.findIndex((token, i) => token !== expected[i])).toBe(-1);
});
