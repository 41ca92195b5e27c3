// Expected ids: Hugging Face's tokenizers, on these same files.
import { describe, expect, test } from 'vitest';
import { createCut } from '../src/added-tokens.js';
import { openTokenizer, type TextTokenizer } from '../src/tokenizer.js';

const VOCAB = ['<unk>', '<|a|>', '<|end|>', '▁', '<', '|', '>', 'a', 'e', 'n', 'd', 'u', 'k', '\n', 'an', '▁a'];
const token = (id: number, content: string, options: object = {}): object => {
  const plain = { single_word: false, lstrip: false, rstrip: false, normalized: true, special: true };
  return { id, content, ...plain, ...options };
};

function open(normalizer: object | null, added_tokens: object[]): Promise<TextTokenizer> {
  const merges = [
    ['a', 'n'],
    ['▁', 'a'],
  ];
  const vocab = Object.fromEntries(VOCAB.map((text, id) => [text, id]));
  const model = { type: 'BPE', unk_token: '<unk>', fuse_unk: false, byte_fallback: false, vocab, merges };
  const files: Record<string, string> = {
    'tokenizer.json': JSON.stringify({ added_tokens, normalizer, model }),
    'tokenizer_config.json': JSON.stringify({ eos_token: '<|end|>' }),
  };
  return openTokenizer(async (name) => files[name] ?? null);
}

const SIGNED = {
  type: 'Sequence',
  normalizers: [
    { type: 'Prepend', prepend: '▁' },
    { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
  ],
};

test.each([
  ['<unk>', [0]],
  ['<unk><unk>', [0, 4, 11, 9, 12, 6]],
  ['<unk><|end|>', [0, 4, 5, 8, 9, 10, 5, 6]],
  ['▁<|end|>', [3, 2]],
  [' <|end|><unk>', [3, 2, 4, 11, 9, 12, 6]],
  ['a<|end|>', [15, 4, 5, 8, 9, 10, 5, 6]],
  ['a <|end|>an', [15, 2, 14]],
  ['<|a|>a <|end|>\n<|a|>an <|end|>\n', [1, 7, 2, 13, 4, 5, 7, 5, 6, 14, 2, 13]],
])('a normalized token behind a normalizer that puts ▁ before it is found with a ▁ alone: %j', async (text, ids) => {
  const { encode } = await open(
    SIGNED,
    [0, 1, 2].map((id) => token(id, VOCAB[id] ?? '')),
  );
  expect(encode(text)).toEqual(ids);
});

test.each([
  ['an', [16]],
  ['ane AN', [14, 8, 0, 16]],
  ['anan', [14, 14]],
  ['dudu', [17, 17]],
  ['DU<|END|>du', [17, 4, 5, 8, 9, 10, 5, 6, 17]],
])('a piece of a text that spells a normalized token is none where that must stand alone: %j', async (text, ids) => {
  const others = [token(16, 'AN', { single_word: true, special: false }), token(17, 'DU', { special: false })];
  const { encode } = await open({ type: 'Lowercase' }, [
    token(0, '<unk>'),
    token(2, '<|end|>', { normalized: false }),
    ...others,
  ]);
  expect(encode(text)).toEqual(ids);
});

test.each([
  ['kue', [12, 17]],
  ['ku', [16]],
  ['d>d>', [10, 6, 18]],
])(
  'tokens of the text as it is written come before those of the normalized one, also without a normalizer: %j',
  async (text, ids) => {
    const { encode } = await open(null, [
      token(0, '<unk>'),
      token(2, '<|end|>', { normalized: false }),
      token(16, 'ku', { special: false }),
      token(17, 'ue', { special: false, normalized: false }),
      token(18, 'd>', { single_word: true, normalized: false }),
    ]);
    expect(encode(text)).toEqual(ids);
  },
);

const tokensOf = (text: string, options: object): string[] => {
  const plain = { content: '\n', single_word: false, lstrip: false, rstrip: false };
  const cut = createCut(new Map([['\n', { ...plain, ...options }]]));
  return cut(text).map(({ start, end, token }) => `${start}-${end}${token === null ? '' : '!'}`);
};

describe('a token that is white space and takes the white space beside it', () => {
  test.each([
    [{ lstrip: true }, ['0-1', '1-3!', '3-4!', '4-6!', '6-8', '8-9!']],
    [{ rstrip: true }, ['0-2', '2-6!', '3-6!', '5-6!', '6-8', '8-9!']],
    [{ lstrip: true, rstrip: true }, ['0-1', '1-6!', '6-8', '8-9!']],
  ])('%j, takes what Hugging Face’s takes', (options, parts) => {
    expect(tokensOf('a \n\n \nbc\n', options)).toEqual(parts);
  });

  test.each([[{ lstrip: true }], [{ rstrip: true }], [{ lstrip: true, rstrip: true }]])(
    '%j, is found in no more than the length of a text',
    (options) => {
      const begun = performance.now();
      expect(tokensOf('\n'.repeat(200_000), options).length).toBeGreaterThan(0);
      expect(performance.now() - begun).toBeLessThan(3_000);
    },
  );
});
