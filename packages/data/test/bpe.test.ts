// Expected ids: Hugging Face's tokenizers 0.23, by scripts/tokenizers/merges.py, which made the tokenizers too.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createBpe } from '../src/bpe.js';
import { openTokenizer } from '../src/tokenizer.js';

interface Case {
  normalizer: object | null;
  pre_tokenizer: object | null;
  model: { vocab: Record<string, number> };
  texts: Record<string, number[]>;
}
const path = join(import.meta.dirname, '../../../scripts/tokenizers/merges.json');
const cases = JSON.parse(readFileSync(path, 'utf8')) as Case[];

/** A folder needs an end token, which Hugging Face's tokenizers did not have. */
const END = { id: 99_999, content: '<|never|>', special: true };

function load({ texts: _, ...parts }: Case) {
  const files: Record<string, string> = {
    'tokenizer.json': JSON.stringify({ ...parts, added_tokens: [END] }),
    'tokenizer_config.json': JSON.stringify({ eos_token: END.content }),
  };
  return openTokenizer(async (name) => files[name] ?? null);
}

test.each(cases.map((one, i) => [i, one] as const))(
  'generated tokenizer %i gives the ids of Hugging Face',
  async (_, one) => {
    const tokenizer = await load(one);
    for (const [text, ids] of Object.entries(one.texts)) {
      expect([text, tokenizer.encode(text)]).toEqual([text, ids]);
    }
  },
);

test('a text that nothing splits is merged in no more than its length times the logarithm', () => {
  const encode = createBpe({ vocab: { a: 0, b: 1, ab: 2, abab: 3 }, merges: ['a b', 'ab ab'] });
  const begun = performance.now();
  expect(encode('ab'.repeat(100_000))).toHaveLength(50_000);
  expect(performance.now() - begun).toBeLessThan(10_000);
});

describe('a list of merges', () => {
  const create = (merges: unknown) => () => createBpe({ vocab: { a: 0, b: 1 }, merges });

  test('that makes a token outside the vocabulary is refused with the place', () => {
    expect(create(['a b'])).toThrow(
      expect.objectContaining({
        code: 'invalid_base',
        message: 'Merge 1 of tokenizer.json asks for ab, which is not in its vocabulary.',
        param: 'tokenizer.json model.merges[0]',
      }),
    );
    expect(create([['a', 'c']])).toThrow('asks for c,');
  });

  test('that holds something else than pairs is refused', () => {
    expect(create(['ab'])).toThrow('Merge 1 of tokenizer.json asks for "ab"');
    expect(create([7])).toThrow('Merge 1 of tokenizer.json asks for 7');
  });
});
