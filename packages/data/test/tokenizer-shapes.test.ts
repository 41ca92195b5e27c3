// Expected ids and decoded texts: Hugging Face's tokenizers, by scripts/tokenizers/shapes.py, which made the tokenizers too.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openTokenizer, type TextTokenizer } from '../src/tokenizer.js';

const folder = join(import.meta.dirname, '../../../scripts/tokenizers');
const read = (path: string): string => readFileSync(join(folder, path), 'utf8');

type Case = [ids: number[], decoded?: string];
const expected: Record<string, { before: number[]; cases: Case[] }> = JSON.parse(read('fixtures/ids.json'));
const texts: string[] = JSON.parse(read('texts.json'));

const load = (name: string): Promise<TextTokenizer> => {
  const json = read(`fixtures/${name}.json`);
  const eos_token = ['</s>', '<|endoftext|>', '<|end_of_text|>'].find((token) => json.includes(`"${token}"`));
  const files: Record<string, string> = {
    'tokenizer.json': json,
    'tokenizer_config.json': JSON.stringify({ eos_token }),
  };
  return openTokenizer(async (file) => files[file] ?? null);
};

test('every shape has its ids', () => {
  const shapes = readdirSync(join(folder, 'fixtures')).map((file) => file.replace('.json', ''));
  expect(shapes.filter((name) => name !== 'ids').sort()).toEqual(Object.keys(expected).sort());
});

describe.each(Object.entries(expected))('%s', (name, { before, cases }) => {
  test('gives Hugging Face’s ids and texts', async () => {
    const tokenizer = await load(name);
    const differ = texts.flatMap((text, i) => {
      const [ids = [], decoded = text] = cases[i] ?? [];
      const ours = tokenizer.encode(text);
      const back = tokenizer.decode(ids, { skipSpecialTokens: false });
      return ours.join() === ids.join() && back === decoded ? [] : [{ text, ids, ours, decoded, back }];
    });
    expect(differ).toEqual([]);
    expect(tokenizer.encode('a', { addSpecialTokens: true })).toEqual([...before, ...tokenizer.encode('a')]);
  });
});
