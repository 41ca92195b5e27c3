import path from 'node:path';
import { PassThrough } from 'node:stream';
import { createBaseFromDir } from '@moraine/services';
import { OpenAI } from 'openai';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { askEach } from '../src/demo/ask.js';
import { oneLine, type RunReport } from '../src/demo/report.js';
import { type CliApi, openApi } from './api.js';
import { type Cli, moraine, moraineOnce } from './stack.js';

// A process that `serve` runs beside the real API, and `chat` with what it answers.
const BASE = path.join(import.meta.dirname, '../../../examples/base');
let { api, client, cli, json, at, close } = {} as CliApi;
let servers: Record<string, string>;
let serving: Cli;

const serve = (...words: string[]): Cli => moraine(['serve', ...words, '--port', '0', '--data', at('data')], servers);
const processes = async () =>
  (await api.services.pg.query('SELECT * FROM inference_processes ORDER BY started_at')).rows;

beforeAll(async () => {
  ({ api, client, cli, json, at, close } = await openApi({ serveWaitMs: 15_000 }));
  await createBaseFromDir(api.services, { projectId: api.projectId, keyId: null }, { name: 'tiny', dir: BASE });
  const { databaseUrl, redisUrl, blobsDir } = api;
  servers = { DATABASE_URL: databaseUrl, REDIS_URL: redisUrl, MORAINE_BLOBS: blobsDir, LOG_FORMAT: 'json' };
  serving = serve('tiny', '--rows', '2');
  await serving.says(/"msg":"ready"/);
});
afterAll(async () => {
  // What it runs ends with it.
  serving.child.kill('SIGTERM');
  await serving.ended;
  await close();
});

const ask = (...words: string[]) => cli('chat', 'tiny', ...words, '--temperature', '0', '--max-tokens', '8');

test('serve says where it is and how many answers it writes side by side, and lets in whoever has its secret alone', async () => {
  const [row] = await processes();
  expect(row).toMatchObject({ status: 'ready', rows: 2, answering: 0 });
  expect(row.address).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
  const models = (key: string) => fetch(`${row.address}/v1/models`, { headers: { authorization: `Bearer ${key}` } });
  expect((await models(api.key)).status).toBe(401);
  expect((await models('')).status).toBe(401);
  expect((await models(row.secret)).status).not.toBe(401);
});

describe('chat', () => {
  test('prints the answer to one prompt, and with --json all of it', async () => {
    const { status, output } = await ask('Nalmen called');
    expect(status).toBe(0);
    const whole = await json('chat', 'tiny', 'Nalmen called', '--temperature', '0', '--max-tokens', '8');
    expect(whole).toMatchObject({ object: 'chat.completion', model: 'tiny', usage: { completion_tokens: 8 } });
    expect(output).toBe(`${whole.choices[0].message.content}\n`);
    const wire = await client.call('createChatCompletion', {
      body: { model: 'tiny', messages: [{ role: 'user', content: 'Nalmen called' }], temperature: 0, max_tokens: 8 },
    });
    expect(wire.choices[0]?.message.content).toBe(whole.choices[0].message.content);
  });

  test('a system text and the share of the update go with it; the same seed gives the same answer', async () => {
    const begun = (await ask('Nalmen called', '--system', 'Kelna sold the red blankets.')).output;
    expect(begun).not.toBe((await ask('Nalmen called')).output);
    const drawn = (seed: string) =>
      cli('chat', 'tiny', 'Nalmen', '--max-tokens', '16', '--seed', seed, '--lambda', '1');
    const [first, again, other] = [await drawn('1'), await drawn('1'), await drawn('2')];
    expect(again.output).toBe(first.output);
    expect(other.output).not.toBe(first.output);
  });

  test('without a prompt it asks for one line after the other, each with what was said before; one that fails ends nothing', async () => {
    const input = new PassThrough();
    const stdin = vi.spyOn(process, 'stdin', 'get').mockReturnValue(input as unknown as typeof process.stdin);
    const talk = cli('chat', 'tiny', '--temperature', '0', '--max-tokens', '4');
    input.end('Nalmen called\n\nKelna said\n');
    const { status, output } = await talk;
    stdin.mockRestore();
    expect(status).toBe(0);
    const first = { role: 'user', content: 'Nalmen called' };
    const more = { model: 'tiny', temperature: 0, max_tokens: 4 };
    const one = await client.call('createChatCompletion', { body: { ...more, messages: [first] } });
    const said = one.choices[0]?.message.content ?? '';
    const conversation = [first, { role: 'assistant', content: said }, { role: 'user', content: 'Kelna said' }];
    const two = await client.call('createChatCompletion', { body: { ...more, messages: conversation } });
    expect(output).toContain(said);
    expect(output).toContain(two.choices[0]?.message.content ?? '');
    expect(two.usage.prompt_tokens).toBeGreaterThan(one.usage.prompt_tokens + 4);
  });

  test.each([
    [['tini', 'Hello'], "Did you mean 'tiny'?", 1],
    [['tiny', 'Hello', '--temperature', '3'], '--temperature', 2],
    [['tiny', 'Hello', '--lambda', '2'], '--lambda', 2],
    [['tiny', 'Hello', '--max-tokens', '0'], '--max-tokens', 2],
    [['tiny', '--json'], 'A prompt', 2],
    [['tiny', 'one', 'two'], "'two' is one argument too many.", 2],
  ])('%j is refused', async (words, message, wanted) => {
    const { status, output } = await cli('chat', ...words);
    expect([status, output]).toEqual([wanted, expect.stringContaining(message)]);
  });
});

test('the demo asks each of its models the first held-out question; a model that fails takes its own line, one without weights none', async () => {
  const sample = { prompt: 'Nalmen called', expected: 'Kelna.', generated: '', correct: false };
  const report = (label: string, model: string | null) =>
    ({
      method: { label },
      run: { fine_tuned_model: model },
      before: { heldout: { samples: [sample, { ...sample, prompt: 'another' }] } },
    }) as unknown as RunReport;
  const openai = new OpenAI({ baseURL: `${api.url}/v1`, apiKey: api.key, maxRetries: 0 });
  const reports = [report('LoRA', 'tiny'), report('MoRA', 'gone'), report('full', null)];
  const lines = (await askEach(openai, reports)).split('\n').map((line) => line.trim().split(/ {2,}/));
  const answer = await client.call('createChatCompletion', {
    body: { model: 'tiny', messages: [{ role: 'user', content: sample.prompt }], temperature: 0, max_tokens: 64 },
  });
  expect(lines).toEqual([
    ['question', 'Nalmen called'],
    ['LoRA', oneLine(answer.choices[0]?.message.content ?? '').trim(), 'npx moraine chat tiny'],
    ['MoRA', expect.stringContaining("'gone'"), 'npx moraine chat gone'],
  ]);
  expect(await askEach(openai, [])).toBe('');
  expect(await askEach(openai, [{ ...report('LoRA', 'tiny'), before: {} }])).toBe('');
});

test.each([
  [['tiny', '--rows', '0'], '--rows', 2],
  [['tiny', '--port', '70000'], '--port', 2],
  [['tiny', 'more'], "'more' is one argument too many.", 2],
  [[], 'The name or hash of a base', 2],
])('serve %j is refused', async (words, message, wanted) => {
  const { status, output } = await moraineOnce(['serve', ...words, '--data', at('data')], servers);
  expect([status, output]).toEqual([wanted, expect.stringContaining(message)]);
});

test('serve of a base that is not there ends with its nearest way out', async () => {
  const other = serve('tinny');
  expect(await other.ended).toBe(1);
  expect(other.output()).toContain("There is no base 'tinny'.");
});

test('of two processes one that is killed loses its own requests alone: the other answers, and ends with its command', async () => {
  const other = serve('tiny');
  await other.says(/"msg":"ready"/);
  const [, second] = await processes();
  // The first answers nothing more, and nobody has been told.
  process.kill((await processes())[0].pid, 'SIGKILL');
  await serving.ended;
  for (let i = 0; i < 3; i++) expect((await ask('Nalmen called')).status).toBe(0);
  expect((await processes())[0]).toMatchObject({ status: 'gone', status_reason: 'Nobody answered at its address.' });

  // The command is killed; what it runs notices, and ends as if it had been asked to.
  other.child.kill('SIGKILL');
  await other.ended;
  expect((await processes()).find(({ id }) => id === second.id)).toMatchObject({ status: 'gone', secret: '' });
  const { status, output } = await ask('Nalmen called');
  expect([status, output]).toEqual([1, expect.stringContaining('npx moraine serve tiny')]);
}, 60_000);
