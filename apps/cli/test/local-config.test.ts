import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { requestOf } from '@moraine/contract';
import { afterAll, describe, expect, test } from 'vitest';
import { readArguments } from '../src/args.js';
import { parseConfig, readConfig } from '../src/local/config.js';
import { readStoredRun, refuseUsedFolder } from '../src/local/out-folder.js';
import { trainCommand } from '../src/local/train.js';
import { inRepo } from '../src/paths.js';

const dir = mkdtempSync(path.join(tmpdir(), 'moraine-config-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const fileOf = (text: string): string => {
  const file = path.join(dir, 'config.json');
  writeFileSync(file, text);
  return file;
};
const words = (...given: string[]) => readArguments(trainCommand, given);

describe('a configuration with a mistake is refused by name', () => {
  test.each([
    [{ adaptor: { type: 'lora' } }, "Unknown key 'adaptor'.", "Did you mean 'adapter'?"],
    [{ adapter: { rnak: 4 } }, "Unknown key 'adapter.rnak'.", "Did you mean 'adapter.rank'?"],
    [{ adapter: { type: 'loar' } }, `'adapter.type' is "loar"`, 'Did you mean "lora"?'],
    [{ mode: 'xls' }, `'mode' is "xls"`, 'Did you mean "xla"?'],
    [{ max_steps: 0 }, "'max_steps' is 0", 'Correct this value'],
    [{ model: 'tiny' }, "'model' names something of the service", 'write --base'],
    [{ training_file: 'file-1' }, "'training_file' names something", 'write --data'],
    [{ validation_split: 0.1 }, "'validation_split' divides a file of the service", 'moraine local split FILE'],
    [{ evaluation: { suites: [] } }, "'evaluation.suites' asks for", 'local eval'],
    [{ evaluation: { analyses: [] } }, "'evaluation.analyses' asks for", 'local lab'],
  ])('%j', (body, message, hint) => {
    expect(() => parseConfig(body)).toThrow(
      expect.objectContaining({ message: expect.stringContaining(message), hint: expect.stringContaining(hint) }),
    );
  });

  test('a file that is missing, no JSON, or no object', () => {
    expect(() => readConfig(path.join(dir, 'none.json'), words())).toThrow(/There is no file .*none\.json/);
    expect(() => readConfig(fileOf('{"a": 1,}'), words())).toThrow(/config\.json is not JSON/);
    expect(() => readConfig(fileOf('[1]'), words())).toThrow(/holds no JSON object/);
  });
});

test('options of the command line stand where they stand in a request, and count more than the file', () => {
  const file = fileOf(
    '{"adapter": {"rank": 4, "alpha": 4}, "max_steps": 9, "seed": 1, "schedule": {"type": "linear"}}',
  );
  const given = words(
    '--steps',
    '3',
    '--rank',
    '2',
    '--lr',
    '1e-3',
    '--seed',
    '5',
    '--batch-size',
    '6',
    '--mode',
    'xla',
  );
  const { request } = readConfig(file, given);
  expect(request).toMatchObject({ max_steps: 3, seed: 5, batch_size: 6, mode: 'xla', schedule: { type: 'linear' } });
  expect(request.adapter).toEqual({ rank: 2, alpha: 4 });
  expect(request.optimizer).toMatchObject({ learning_rate: 1e-3, type: 'adamw' });
});

test('another method on the command line leaves behind what only the method of the file has', () => {
  const file = fileOf('{"adapter": {"type": "lora", "rank": 4, "alpha": 4, "target_modules": ["q_proj"]}}');
  const adapterOf = (method: string) => readConfig(file, words('--method', method)).body.adapter;
  expect(adapterOf('mora-6')).toEqual({ type: 'mora', mora_type: 6, rank: 4, target_modules: ['q_proj'] });
  expect(adapterOf('full')).toEqual({ type: 'none' });
  expect(adapterOf('lora')).toEqual({ type: 'lora', rank: 4, alpha: 4, target_modules: ['q_proj'] });
  expect(() => requestOf('moar-6')).toThrow(/--method is 'moar-6'/);
});

test('a file is no folder for a run', () => {
  expect(() => refuseUsedFolder(fileOf('{}'))).toThrow('config.json is a file, not a folder.');
  expect(() => refuseUsedFolder(path.join(dir, 'new'))).not.toThrow();
});

test('a run whose description is damaged is refused with the name of the file', () => {
  writeFileSync(path.join(dir, 'run.json'), '{"format": 1, "ba');
  expect(() => readStoredRun(dir)).toThrow('run.json is damaged: it is not JSON.');
});

test('keys that only a queue has a use for are left out and reported', () => {
  expect(parseConfig({ priority: 10, pool: 'gpu', max_steps: 2 }).ignored).toEqual(['priority', 'pool']);
});

test.each(['lora', 'mora-rotation', 'mora-sharing', 'full'])('the preset %s is a local configuration too', (name) => {
  const preset = JSON.parse(readFileSync(inRepo('configs', `${name}.json`), 'utf8')) as Record<string, unknown>;
  expect(() => parseConfig(preset)).not.toThrow();
});
