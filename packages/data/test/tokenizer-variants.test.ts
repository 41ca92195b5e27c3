// Expected ids: Hugging Face's tokenizers 0.23, by scripts/tokenizers/variants.py, which made the tokenizers too.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openTokenizer, type TextTokenizer } from '../src/tokenizer.js';

interface Parts {
  added_tokens: object[];
  normalizer: object | null;
  pre_tokenizer: object | null;
  model: object;
}
type Variant = Parts & { texts: [text: string, ids: number[]][] };

const path = join(import.meta.dirname, '../../../scripts/tokenizers/variants.json');
const variants: Variant[] = JSON.parse(readFileSync(path, 'utf8'));

/** A folder needs an end token, which Hugging Face's tokenizers did not have. */
const END = { id: 99_999, content: '<|never|>', special: true, normalized: false };

function load(parts: Partial<Parts>): Promise<TextTokenizer> {
  const files: Record<string, string> = {
    'tokenizer.json': JSON.stringify({ ...parts, added_tokens: [...(parts.added_tokens ?? []), END] }),
    'tokenizer_config.json': JSON.stringify({ eos_token: END.content }),
  };
  return openTokenizer(async (name) => files[name] ?? null);
}

const typeOf = (part: object | null): string =>
  JSON.stringify(part)
    .match(/(?<="type":")\w+/g)
    ?.filter((type) => type !== 'Sequence')
    .join(' ') ?? 'none';

test.each(
  variants.map((one, i) => [i, typeOf(one.normalizer), typeOf(one.pre_tokenizer), typeOf(one.model), one] as const),
)('variant %i, %s / %s / %s, gives the ids of Hugging Face', async (_1, _2, _3, _4, { texts, ...parts }) => {
  const tokenizer = await load(parts);
  expect(texts.map(([text]) => [text, tokenizer.encode(text)])).toEqual(texts);
});

const WORDS = ['<unk>', 'a', 'b', '▁', '▁a', 'σ', 'ς', '\u0085', '\ufeff', '#', '##', 'Ġ', 'hello', '▁hello', '水'];
const BYTES = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
const idOf = (text: string): number => [...WORDS, ...BYTES].indexOf(text);
const vocab = Object.fromEntries([...WORDS, ...BYTES].map((text, id) => [text, id]));
const bytes = (...list: number[]): number[] => list.map((byte) => WORDS.length + byte);

describe('a unigram model', () => {
  const scored = [...WORDS.slice(0, -1), ...BYTES].map((text) => [text, text === '<unk>' ? 0 : -text.length]);
  const own = (text: string): number => scored.findIndex(([piece]) => piece === text);
  const model = { type: 'Unigram', unk_id: 0, vocab: scored };
  const pre_tokenizer = { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always' };

  test('writes letters that it does not know in bytes where it says so, else as one unknown token', async () => {
    const [falling, whole] = await Promise.all(
      [true, false].map((byte_fallback) => load({ pre_tokenizer, model: { ...model, byte_fallback } })),
    );
    const water = ['<0xE6>', '<0xB0>', '<0xB4>'].map(own);
    expect(falling?.encode('hello 水')).toEqual([own('▁hello'), own('▁'), ...water]);
    expect(whole?.encode('hello 水水')).toEqual([own('▁hello'), own('▁'), 0]);
  });

  test('whose unknown token is outside the vocabulary is refused, as is one without pieces', async () => {
    await expect(load({ model: { ...model, unk_id: 999 } })).rejects.toMatchObject({
      code: 'invalid_base',
      param: 'tokenizer.json model.unk_id',
    });
    await expect(load({ model: { ...model, vocab: [] } })).rejects.toMatchObject({
      param: 'tokenizer.json model.vocab',
    });
  });
});

describe('a part that is not computed is refused with its name:', () => {
  const model = { type: 'WordLevel', unk_token: '<unk>', vocab };
  test.each([
    ['normalizer', { type: 'Fancy' }, '"Fancy"'],
    ['normalizer', { type: 'Sequence', normalizers: [{ type: 'NFC' }, { type: 'Fancy' }] }, '"Fancy"'],
    ['normalizer.pattern', { type: 'Replace', pattern: { Regex: 'b*' }, content: '▁' }, 'puts "▁" where nothing is'],
    ['normalizer.pattern', { type: 'Replace', pattern: {}, content: '' }, 'the pattern {}'],
    ['normalizer.precompiled_charsmap', { type: 'Precompiled', precompiled_charsmap: 'AAAA' }, 'damaged'],
    ['pre_tokenizer', { type: 'UnicodeScripts' }, '"UnicodeScripts"'],
    ['pre_tokenizer.behavior', { type: 'Punctuation', behavior: 'Merged' }, '"Merged"'],
    ['pre_tokenizer.length', { type: 'FixedLength', length: 0 }, '0 letters'],
  ])('%s %j', async (param, part, said) => {
    await expect(load({ [param.split('.')[0] as string]: part, model })).rejects.toMatchObject({
      code: 'invalid_base',
      param: `tokenizer.json ${param}`,
      message: expect.stringContaining(said),
    });
  });

  test('an added token of which the normalizer leaves nothing', async () => {
    const added_tokens = [{ id: 1, content: '  ', normalized: true }];
    const normalizer = { type: 'Strip', strip_left: true, strip_right: true };
    await expect(load({ normalizer, added_tokens, model })).rejects.toThrow('Nothing is left of the added token "  "');
  });
});

test('a byte pair encoding without an unknown token leaves out what it does not know; one whose unknown token is missing says so', async () => {
  const pre_tokenizer = { type: 'Metaspace', replacement: '▁', prepend_scheme: 'first', split: false };
  const model = { type: 'BPE', vocab: { ...vocab, '': 999 }, merges: [], byte_fallback: false };
  expect((await load({ pre_tokenizer, model })).encode('\n')).toEqual([idOf('▁')]);
  const falling = await load({ pre_tokenizer, model: { ...model, byte_fallback: true } });
  expect(falling.encode('\n')).toEqual([idOf('▁'), ...bytes(10)]);
  const missing = await load({ pre_tokenizer, model: { ...model, unk_token: '[UNK]' } });
  expect(() => missing.encode('\n')).toThrow('[UNK], is not in its vocabulary');
});
