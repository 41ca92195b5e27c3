import { statSync } from 'node:fs';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { checkBase } from '../src/check-base.js';

const base = join(import.meta.dirname, '../../../examples/base');
const shipped = ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'].map((name) => {
  const path = join(base, name);
  return { name, path, sizeBytes: statSync(path).size };
});

test('the shipped base is taken, with what runs are planned by', async () => {
  expect(await checkBase(shipped)).toMatchObject({
    context: 256,
    tieEmbeddings: true,
    config: { model_type: 'llama' },
  });
});

test('a base whose tokenizer makes tokens that it has no row for is refused', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'moraine-base-'));
  const tokenizer = { added_tokens: [{ id: 5_000, content: '<more>', special: true }] };
  const path = join(dir, 'tokenizer_config.json');
  await writeFile(path, JSON.stringify({ eos_token: '<more>', ...tokenizer }));
  const json = JSON.parse(await readFile(join(base, 'tokenizer.json'), 'utf8'));
  const own = join(dir, 'tokenizer.json');
  await writeFile(own, JSON.stringify({ ...json, added_tokens: [...json.added_tokens, ...tokenizer.added_tokens] }));
  const files = [
    ...shipped.filter(({ name }) => !name.startsWith('tokenizer')),
    { name: 'tokenizer.json', path: own, sizeBytes: statSync(own).size },
    { name: 'tokenizer_config.json', path, sizeBytes: statSync(path).size },
  ];
  await expect(checkBase(files)).rejects.toMatchObject({
    code: 'invalid_base',
    message: expect.stringContaining('makes token 5000'),
  });
});

test('a file that ends while it is read is named', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'moraine-base-'));
  const path = join(dir, 'model.safetensors');
  await writeFile(path, Buffer.concat([Buffer.from([16, 0, 0, 0, 0, 0, 0, 0]), Buffer.from('{')]));
  const files = [
    ...shipped.filter(({ name }) => name !== 'model.safetensors'),
    { name: 'model.safetensors', path, sizeBytes: 4_487_568 },
  ];
  await expect(checkBase(files)).rejects.toMatchObject({
    param: 'model.safetensors',
    message: expect.stringContaining('cut short inside its header'),
  });
});

test('a tokenizer of values that the library trips over is refused as one that cannot be read', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'moraine-base-'));
  const json = JSON.parse(await readFile(join(base, 'tokenizer.json'), 'utf8'));
  const path = join(dir, 'tokenizer.json');
  json.added_tokens[0].content = 5;
  await writeFile(path, JSON.stringify(json));
  const files = [
    ...shipped.filter(({ name }) => name !== 'tokenizer.json'),
    { name: 'tokenizer.json', path, sizeBytes: statSync(path).size },
  ];
  await expect(checkBase(files)).rejects.toMatchObject({
    code: 'invalid_base',
    param: expect.stringMatching(/tokenizer/),
  });
});
