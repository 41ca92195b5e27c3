import { cpSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openServed, type Served } from '@moraine/recipes';
import { pino } from 'pino';
import { afterEach, expect, test } from 'vitest';
import { createInference } from '../src/index.js';
import { BASE } from './random-adapter.js';

// Bases whose template or tokenizer never ends on some prompts: such a prompt is refused, and the next one is answered.
let served: Served;
let app: ReturnType<typeof createInference>;
afterEach(async () => {
  await app.close();
  served.dispose();
});

const LOOP = Array.from({ length: 3 }, () => '{% for i in range(99999) %}').join('') + '{% endfor %}'.repeat(3);
const TRAP = `{% for m in messages %}{% if 'TRAP' in m.content %}${LOOP}{% endif %}{{ m.content }}{% endfor %}`;

async function open(name: string, change: (json: object) => object): Promise<void> {
  const baseDir = mkdtempSync(join(tmpdir(), 'moraine-base-'));
  cpSync(BASE, baseDir, { recursive: true });
  const file = join(baseDir, name);
  writeFileSync(file, JSON.stringify(change(JSON.parse(readFileSync(file, 'utf8')) as object)));
  served = await openServed({ baseDir, baseName: 'base', adapters: [], rows: 1, contextMax: 128 });
  app = createInference({ served, key: null, log: pino({ level: 'silent' }) });
}

async function ask(path: string, prompt: object) {
  const { statusCode, body } = await app.inject({
    ...{ method: 'POST', url: `/v1/${path}`, payload: { model: 'base', max_tokens: 2, ...prompt } },
  });
  return [statusCode, JSON.parse(body).error?.message];
}

const said = (content: string) => ({ messages: [{ role: 'user', content }] });
const TOO_LONG = expect.stringContaining("The base's chat template or tokenizer takes longer than 5");

test('a conversation that the chat template never ends on is refused, and the next one is answered', async () => {
  await open('tokenizer_config.json', (config) => ({ ...config, chat_template: TRAP }));
  expect(await ask('chat/completions', said('It is a TRAP'))).toEqual([400, TOO_LONG]);
  expect(await ask('chat/completions', said('It is none'))).toEqual([200, undefined]);
});

test('a text that a pattern of the tokenizer never ends on is refused, and the next one is answered', async () => {
  const pre_tokenizer = { type: 'Split', pattern: { Regex: '(a+)+$' }, behavior: 'Isolated', invert: false };
  await open('tokenizer.json', (config) => ({ ...config, pre_tokenizer }));
  const prompt = `${'a'.repeat(60)}!`;
  expect(await ask('completions', { prompt })).toEqual([400, TOO_LONG]);
  expect(await ask('chat/completions', said(prompt))).toEqual([400, TOO_LONG]);
  expect(await ask('completions', { prompt: 'Hello' })).toEqual([200, undefined]);
});
