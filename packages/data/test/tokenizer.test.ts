// Expected ids: the llama.cpp .inp/.out pairs beside the tokenizers (made with Hugging Face's library, no begin token).
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadTokenizer, openTokenizer } from '../src/tokenizer.js';
import { sharedData } from './shared-data.js';

const shared = sharedData();

async function pairs(base: string): Promise<{ text: string; ids: number[] }[]> {
  const texts = (await readFile(`${base}.inp`, 'utf8')).split('\n__ggml_vocab_test__\n');
  const lines = (await readFile(`${base}.out`, 'utf8')).split('\n');
  return texts.map((text, i) => ({ text, ids: (lines[i] ?? '').split(' ').filter(Boolean).map(Number) }));
}

describe.runIf(shared !== null)('real tokenizers', () => {
  const folder = (name: string): string => join(shared ?? '', name);

  test('GPT-2 in the oldest dialect gives the reference ids on all 47 texts', async () => {
    const tokenizer = await loadTokenizer(folder('tokenizers/gpt2'));
    const all = await pairs(folder('tokenizers/gpt2/ggml-vocab-gpt-2.gguf'));
    expect(all).toHaveLength(47);
    for (const { text, ids } of all) {
      expect(tokenizer.encode(text), JSON.stringify(text)).toEqual(ids);
      expect(tokenizer.decode(ids)).toBe(text);
    }
    expect(tokenizer.eosId).toBe(50256);
    expect(tokenizer.hasChatTemplate).toBe(false);
  });

  test('TinyLlama with Metaspace gives the reference ids where the dialects agree: texts not beginning with white space', async () => {
    const tokenizer = await loadTokenizer(folder('tokenizers/tinyllama'));
    const all = await pairs(folder('tokenizers/llama2/ggml-vocab-llama-spm.gguf'));
    const equal = all.filter(({ text, ids }) => tokenizer.encode(text).join() === ids.join());
    expect(equal).toHaveLength(32);
    for (const { text, ids } of all.filter((pair) => /^[A-Za-z]/.test(pair.text))) {
      expect(tokenizer.encode(text)).toEqual(ids);
    }
    expect(tokenizer.encode('a', { addSpecialTokens: true })[0]).toBe(1);
    expect(tokenizer.encode('a')[0]).not.toBe(1);
  });

  test('SmolLM2 is read without the truncation and padding that its last owner saved, and splits ½ as Hugging Face does', async () => {
    const tokenizer = await loadTokenizer(folder('tokenizers/smollm2'));
    expect(tokenizer.encode('word '.repeat(300)).length).toBeGreaterThan(300);
    expect(tokenizer.encode('a')).toHaveLength(1);
    expect(tokenizer.encode('ied 4 ½ months')).toEqual([885, 216, 36, 216, 16738, 2704]);
    expect(tokenizer.eosIds).toEqual([2]);
    expect(tokenizer.padId).toBe(49152);
  });

  test('byte fallback decodes what it encodes', async () => {
    const tokenizer = await loadTokenizer(folder('models/tinystories-656k-llama'));
    const text = 'Once upon a time, Lily saw a cat.';
    expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
    expect(tokenizer.bosId).toBe(1);
    expect(tokenizer.eosIds).toEqual([2]);
  });

  test('a folder without tokenizer.json is refused with what to do', async () => {
    await expect(loadTokenizer(folder('tokenizers/qwen2.5'))).rejects.toMatchObject({
      code: 'invalid_base',
      hint: expect.stringContaining('save_pretrained'),
    });
  });
});

const base = join(import.meta.dirname, '../../../examples/base');

test('the shipped base splits digits, knows its specials and its end token', async () => {
  const tokenizer = await loadTokenizer(base);
  expect(tokenizer.vocabSize).toBe(1024);
  expect(tokenizer.eosIds).toEqual([0]);
  expect(tokenizer.padId).toBe(3);
  expect(tokenizer.bosId).toBeNull();
  expect(tokenizer.encode('<|user|>12<|end|>')).toHaveLength(4);
  const text = '  Ünïcode, 日本 😀\n\t{"from":"Barbo"} 42';
  expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
  expect(tokenizer.encode('')).toEqual([]);
  expect(tokenizer.decode([])).toBe('');
});

test('digits are split one by one, or stay together where the base says so', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'moraine-tokenizer-'));
  try {
    await cp(base, folder, { recursive: true });
    const file = join(folder, 'tokenizer.json');
    const json = JSON.parse(await readFile(file, 'utf8'));
    const [digits, bytes] = json.pre_tokenizer.pretokenizers;
    // A merge of two digits can only be used where nothing splits them.
    json.model.vocab['12'] = json.model.vocab['0'];
    json.model.merges.push(typeof json.model.merges[0] === 'string' ? '1 2' : ['1', '2']);
    const lengthOf = async (individual: boolean): Promise<number> => {
      json.pre_tokenizer.pretokenizers = [{ ...digits, individual_digits: individual }, bytes];
      await writeFile(file, JSON.stringify(json));
      return (await loadTokenizer(folder)).encode('12').length;
    };
    expect(await lengthOf(true)).toBe(2);
    expect(await lengthOf(false)).toBe(1);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('a base that names no end token, or one outside its vocabulary, is refused', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'moraine-tokenizer-'));
  try {
    await cp(join(base, 'tokenizer.json'), join(folder, 'tokenizer.json'));
    await expect(loadTokenizer(folder)).rejects.toMatchObject({
      code: 'invalid_base',
      hint: expect.stringContaining('eos_token'),
    });
    await writeFile(join(folder, 'tokenizer_config.json'), '{"eos_token": "</none>"}');
    await expect(loadTokenizer(folder)).rejects.toThrow('</none> is not in its vocabulary');
    await writeFile(join(folder, 'tokenizer_config.json'), '{');
    await expect(loadTokenizer(folder)).rejects.toMatchObject({ param: 'tokenizer_config.json' });
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('a text has its tokens wherever else it stood before: behind a special token, or first with a space before it', async () => {
  const letters = ['▁', 'a', 'b', '▁a', '<s>', '</s>'];
  const special = (content: string, id: number) => ({ id, content, special: true, normalized: false });
  const files: Record<string, string> = {
    'tokenizer.json': JSON.stringify({
      added_tokens: [special('<s>', 4), special('</s>', 5)],
      pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'first', split: true },
      model: { type: 'BPE', vocab: Object.fromEntries(letters.map((text, i) => [text, i])), merges: [['▁', 'a']] },
    }),
    'tokenizer_config.json': JSON.stringify({ eos_token: '</s>' }),
  };
  const { encode } = await openTokenizer(async (name) => files[name] ?? null);
  for (let again = 0; again < 2; again += 1) {
    expect(encode('ab')).toEqual([3, 2]);
    expect(encode('<s>ab')).toEqual([4, 1, 2]);
    expect(encode('ab<s>ab</s>ab')).toEqual([3, 2, 4, 1, 2, 5, 1, 2]);
  }
});
