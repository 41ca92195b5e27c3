import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { CreateRunRequest, parse } from '../src/index.js';

const folder = join(import.meta.dirname, '../../../configs');
const presets = readdirSync(folder).filter((name) => name.endsWith('.json'));

test('there is a preset for each method', () => {
  expect(presets).toEqual(['full.json', 'lora.json', 'mora-rotation.json', 'mora-sharing.json']);
});

test.each(presets)('%s is part of a valid request', (name) => {
  const preset: unknown = JSON.parse(readFileSync(join(folder, name), 'utf8'));
  expect(typeof preset === 'object' && preset !== null && Object.keys(preset).length).toBeGreaterThan(0);
  expect(() =>
    parse(CreateRunRequest, { ...(preset as object), model: 'base', training_file: 'file-1' }),
  ).not.toThrow();
});
