import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { moraineOnce } from './stack.js';

const dir = mkdtempSync(path.join(tmpdir(), 'moraine cli '));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

test.each([
  [['evn'], "moraine has no command 'evn'. Did you mean 'env'?"],
  [['up', '--worker', '2'], "moraine up has no option '--worker'. Did you mean '--workers'?"],
  [['up', '--workers', 'two'], "--workers is 'two', which is not a whole number from 0 to 256."],
  [['up', '--workers'], '--workers needs a value. Write --workers N.'],
  [['env', 'now'], "'now' is one argument too many."],
  [['runs', 'lss'], "moraine runs has no action 'lss'. Did you mean 'runs ls'?"],
  [
    ['runs', 'download', 'ftjob-1', '--format', 'pfet'],
    "--format is 'pfet', which is none of native, peft, merged, lora, gguf. Did you mean 'peft'?",
  ],
  [['models', 'add', 'tiny'], 'The folder or tar of a model or an adapter, or hf:ORG/REPO@REV is missing.'],
  [['local', 'generate', '--base', '.', '--prompt', 'a', '--top-p', '1.1'], '--top-p'],
  [['demo', '--short=yes'], "--short takes no value, but 'yes' was given."],
])('%j is refused with status 2 and the nearest valid word', async (words, message) => {
  const { status, output } = await moraineOnce(words);
  expect(output).toContain(message);
  expect(status).toBe(2);
});

test('every command explains itself with --help with its forms and options', async () => {
  for (const command of ['up', 'demo', 'runs']) {
    const { status, output } = await moraineOnce([command, '--help']);
    expect(status).toBe(0);
    expect(output).toContain(`  moraine ${command}`);
    expect(output).toContain('--data DIR');
  }
});

test('help --json lists every command that --help shows, with its options', async () => {
  const { status, output } = await moraineOnce(['help', '--json']);
  expect(status).toBe(0);
  const commands = JSON.parse(output) as { name: string; options: { name: string }[] }[];
  const optionsOf = (name: string): string[] | undefined =>
    commands.find((command) => command.name === name)?.options.map((option) => option.name);
  expect(optionsOf('local train')).toContain('batch-size');
  for (const name of ['login', 'logout']) expect(optionsOf(name)).toEqual(['data', 'json']);
  const overview = (await moraineOnce(['--help'])).output;
  const shown = [...overview.matchAll(/^ {2}(\w+) +\S/gm)].map(([, name]) => name);
  expect([...new Set(commands.map(({ name }) => name.split(' ')[0]))]).toEqual(shown);
});

test('env, login and logout say that no stack runs, with status 1 and nothing to evaluate', async () => {
  for (const command of ['env', 'login', 'logout']) {
    const { status, output } = await moraineOnce([command, '--data', dir]);
    expect(status).toBe(1);
    expect(output).toContain(`No stack runs on ${dir}. Start one with \`npm start\``);
    expect(output).not.toContain('export');
  }
});

test('a stack file of a supervisor that is gone does not count as a running stack', async () => {
  const stack = {
    supervisor: { pid: process.pid, started: '1' },
    api: { url: 'http://127.0.0.1:1', port: 1 },
    apiKey: 'mk-x',
    postgres: null,
    redis: null,
    parts: [],
  };
  writeFileSync(path.join(dir, 'stack.json'), JSON.stringify(stack));
  const { status, output } = await moraineOnce(['env', '--data', dir]);
  expect(status).toBe(1);
  expect(output).not.toContain('export');
});

test('a folder that is no model is refused before anything is sent', async () => {
  const remote = { OPENAI_BASE_URL: 'http://127.0.0.1:9/v1', OPENAI_API_KEY: 'mk-x', MORAINE_DATA: dir };
  const { status, output } = await moraineOnce(['models', 'add', 'mine', dir], remote);
  expect(status).toBe(1);
  expect(output).toContain('holds no config.json');
});
