// Bytes are those of the texts themselves, by Buffer.byteLength.
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { encodeRow } from '../src/encode-row.js';
import type { Row } from '../src/row.js';
import { loadTokenizer, openTokenizer, type TextTokenizer } from '../src/tokenizer.js';

const WORDS = ['<unk>', '<s>', '</s>', '▁', 'a', 'b', '▁a'];
const BYTES = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);

/** As SentencePiece writes: a space is put before each text; unknown letters are bytes, or unknown tokens. */
function spelling(fallsBack: boolean): Promise<TextTokenizer> {
  const vocab = Object.fromEntries([...WORDS, ...(fallsBack ? BYTES : [])].map((text, id) => [text, id]));
  const special = { special: true, normalized: false };
  const files: Record<string, object> = {
    'tokenizer.json': {
      added_tokens: ['<unk>', '<s>', '</s>'].map((content, id) => ({ id, content, ...special })),
      normalizer: null,
      pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: false },
      model: { type: 'BPE', vocab, merges: ['▁ a'], unk_token: '<unk>', byte_fallback: fallsBack },
    },
    'tokenizer_config.json': { bos_token: '<s>', eos_token: '</s>', unk_token: '<unk>', add_bos_token: true },
  };
  return openTokenizer(async (name) => (files[name] ? JSON.stringify(files[name]) : null));
}

const bytesOf = (row: Row, tokenizer: TextTokenizer, maxSeqLen = 200): (number | undefined)[] =>
  [...encodeRow(row, tokenizer, { maxSeqLen, countsBytes: true })].map((one) =>
    'row' in one ? one.row.bytes : undefined,
  );
const TEXTS = ['a b', 'b', 'é', '日本語 😀', 'b  a', 'a\u00a0b\r\nc'];

describe('the bytes of what a row supervises', () => {
  let base: TextTokenizer;
  beforeAll(async () => {
    base = await loadTokenizer(join(import.meta.dirname, '../../../examples/base'));
  });

  test.each([true, false])(
    'are those of the text, not of the space that a tokenizer puts before it (%s)',
    async (fallsBack) => {
      const tokenizer = await spelling(fallsBack);
      for (const text of TEXTS) {
        expect(bytesOf({ format: 'text', text }, tokenizer), text).toEqual([Buffer.byteLength(text)]);
        const row: Row = { format: 'prompt_completion', prompt: 'a', completion: ` ${text}` };
        expect(bytesOf(row, tokenizer), text).toEqual([Buffer.byteLength(text) + 1]);
      }
    },
  );

  test('where a token before the first is missing, are those behind it, letter or not', () => {
    for (const text of TEXTS) {
      const first = base.bytes(base.encode(text)[0] ?? -1)?.length ?? Number.NaN;
      expect(bytesOf({ format: 'text', text }, base), text).toEqual([Buffer.byteLength(text) - first]);
    }
  });

  test('of a row that is cut, are those that are left of it, half a letter too', () => {
    expect(base.encode('日本').map((id) => base.bytes(id)?.length)).toEqual([1, 1, 1, 1, 1, 1]);
    expect(bytesOf({ format: 'text', text: '日本' }, base, 5)).toEqual([4]);
  });

  test('of a conversation, are those of its answers, without their ends', async () => {
    const answers = ['日本 a', 'é'];
    const messages = answers.flatMap((content) => [
      { role: 'user' as const, content: 'a?' },
      { role: 'assistant' as const, content },
    ]);
    expect(bytesOf({ format: 'chat', messages }, base)).toEqual([Buffer.byteLength(answers.join(''))]);
  });
});
