import { cpSync, mkdtempSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  EngineError,
  type EngineErrorCode,
  readSafetensors,
  readSafetensorsHeader,
  writeSafetensors,
} from '@moraine/engine';
import { expect, it } from 'vitest';
import { failureOf, loadBase } from '../src/index.js';
import { METHODS, ofType, runOf, specOf, writeSums, writeTinyBase } from './tiny-base.js';

const base = writeTinyBase();
const sums = writeSums(base, 'sums.jsonl', 8);
const full = METHODS.full ?? { type: 'none' as const };

/** The tiny base in a folder of its own, to spoil. */
function copyOfBase(): string {
  const dir = mkdtempSync(join(tmpdir(), 'moraine-spoiled-'));
  cpSync(base, dir, { recursive: true });
  return dir;
}

const thrownBy = (act: () => unknown): unknown => {
  try {
    return act();
  } catch (error) {
    return error;
  }
};

it('weights that are cut short are the base, not a fault of ours, and the message says what to do', () => {
  const dir = copyOfBase();
  truncateSync(join(dir, 'model.safetensors'), 5000);
  const failure = failureOf(thrownBy(() => loadBase(dir)));
  expect(failure).toMatchObject({ cause: 'user_config', code: 'invalid_base' });
  expect(failure.message).toMatch(/cut short.*Fetch or export the file again/);
});

it.each([
  ['../other/model.safetensors', /outside the folder/],
  ['model-00001-of-00002.safetensors', /which is not there/],
])('an index that names %s is refused', (file, message) => {
  const dir = copyOfBase();
  const index = { weight_map: { 'model.norm.weight': file } };
  writeFileSync(join(dir, 'model.safetensors.index.json'), JSON.stringify(index));
  expect(() => loadBase(dir)).toThrow(message);
});

it('a merged model stores each weight in the type that the base stores it in', async () => {
  const dir = copyOfBase();
  const { tensors } = readSafetensors(join(dir, 'model.safetensors'));
  const half = [...tensors].map(([name, { shape, data }]) => {
    const dtype = shape.length === 2 ? ('BF16' as const) : ('F32' as const);
    return [name, { shape, data, dtype }] as const;
  });
  writeSafetensors(join(dir, 'model.safetensors'), new Map(half));
  const spec = specOf(dir, sums, full);
  spec.config.steps = 1;
  const merged = ofType(await runOf(spec), 'finished')[0]?.exports[0]?.dir ?? '';
  const types = (folder: string) =>
    readSafetensorsHeader(join(folder, 'model.safetensors')).entries.map(({ name, dtype }) => `${name} ${dtype}`);
  expect(types(merged)).toEqual(types(dir));
});

it('a tokenizer with more tokens than the base has rows is refused before training', async () => {
  const dir = copyOfBase();
  const file = join(dir, 'tokenizer.json');
  const tokenizer = JSON.parse(readFileSync(file, 'utf8')) as { model: { vocab: Record<string, number> } };
  tokenizer.model.vocab['='] = 300;
  writeFileSync(file, JSON.stringify(tokenizer));
  const error: unknown = await runOf(specOf(dir, sums, full)).catch((thrown: unknown) => thrown);
  expect(failureOf(error)).toMatchObject({ cause: 'user_config', code: 'invalid_base' });
  expect(failureOf(error).message).toMatch(/token 300 \("="\).* has 260/);
});

it('rows cut from an evaluation file are said as those of the training file are', async () => {
  const path = join(base, 'long.jsonl');
  writeFileSync(path, `${JSON.stringify({ prompt: '1+1=', completion: '2'.repeat(80) })}\n`);
  const spec = specOf(base, sums, full, { evaluationFiles: [{ id: 'file-1', name: 'held-out', path }] });
  const messages = ofType(await runOf(spec, 1), 'message').map(({ message }) => message);
  expect(messages).toEqual([expect.stringMatching(/^Evaluation file held-out: 1 rows were cut/)]);
});

it('the expected text of a sample is the first answer of a conversation, not all that follows', async () => {
  const path = join(base, 'chat.jsonl');
  const turn = (role: string, content: string) => ({ role, content });
  const messages = [turn('user', 'a'), turn('assistant', 'b'), turn('user', 'c'), turn('assistant', 'd')];
  writeFileSync(path, `${JSON.stringify({ messages })}\n`);
  const spec = specOf(base, sums, full, { evaluationFiles: [{ id: 'file-1', name: 'chat', path }] });
  const [found] = ofType(await runOf(spec, 1), 'evaluation');
  expect(found?.result.samples.map(({ expected }) => expected)).toEqual(['b']);
});

it('a device without room is out of memory, a mode that cannot be had the configuration', () => {
  const fault = (code: EngineErrorCode) => failureOf(new EngineError(code, 'It went wrong.', 'Do this.'));
  expect(fault('out_of_memory')).toMatchObject({
    cause: 'oom',
    code: 'out_of_memory',
    message: 'It went wrong. Do this.',
  });
  expect(fault('unsupported_in_mode').cause).toBe('user_config');
  expect(fault('run_failed').cause).toBe('internal');
});

it('a full disk is a fault of the storage, which is tried again', () => {
  const error = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
  expect(failureOf(error)).toMatchObject({ cause: 'storage', code: 'storage' });
});
