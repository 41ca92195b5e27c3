/**
 * `npm run test:promptfoo`: Promptfoo's stock `openai:chat` and `openai:completion` providers against a base of ours: answers as the openai client has them, objects of JSON,
 * calls of tools. Installs Promptfoo under .venv (2 GB, once); it is asked to send nothing home.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInference } from '@moraine/inference';
import { openServed } from '@moraine/recipes';
import { OpenAI } from 'openai';
import { pino } from 'pino';
import { writeCallingBase } from '../../apps/inference/test/calling-base.js';

/** The last that runs on Node 20. */
const VERSION = '0.121.20';
const KEY = 'secret';
const QUESTIONS = ['Nevsa gave 3 belts to Gankor.\nRecord?', 'Who has the belts?', 'Write a letter.'];
/** Of the shipped base's vocabulary: `"` and `}`, so that objects end early. */
const ENDINGS = { 5: 8, 96: 12 };
const TOOLS = [{ type: 'function', function: { name: 'look', parameters: { type: 'object', properties: {} } } }];

/** Promptfoo's command, installed where it is not there. */
function promptfoo(): string {
  const dir = resolve(import.meta.dirname, `../../.venv/promptfoo-${VERSION}`);
  const command = join(dir, 'node_modules/.bin/promptfoo');
  if (existsSync(command)) return command;
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, 'package.json'), '{"private": true}');
  const flags = ['--no-audit', '--no-fund', '--loglevel=error'];
  execFileSync('npm', ['install', ...flags, `promptfoo@${VERSION}`], { cwd: dir, stdio: 'inherit' });
  return command;
}

interface Outcome {
  success: boolean;
  provider: { label?: string; id: string };
  error?: string | null;
  response?: { output?: unknown };
}

/** Runs an evaluation. @throws Error with what it printed where it left no results. */
async function evaluate(command: string, config: object, work: string): Promise<Outcome[]> {
  const [file, out] = [join(work, 'promptfooconfig.json'), join(work, 'results.json')];
  writeFileSync(file, JSON.stringify(config));
  const quiet = {
    ...{ PROMPTFOO_DISABLE_TELEMETRY: '1', PROMPTFOO_DISABLE_UPDATE: '1', PROMPTFOO_DISABLE_REMOTE_GENERATION: 'true' },
    ...{ PROMPTFOO_CONFIG_DIR: join(work, 'home'), PROMPTFOO_DISABLE_SHARING: '1' },
  };
  const args = ['eval', '-c', file, '-o', out, '--no-cache', '--no-progress-bar', '--no-table', '-j', '2'];
  const child = spawn(command, args, { env: { ...process.env, ...quiet }, stdio: ['ignore', 'pipe', 'pipe'] });
  let printed = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (printed += String(chunk)));
  await once(child, 'close');
  if (!existsSync(out)) throw new Error(printed);
  const { results } = JSON.parse(readFileSync(out, 'utf8')) as { results: { results: Outcome[] } };
  return results.results;
}

async function main(): Promise<number> {
  const work = mkdtempSync(join(tmpdir(), 'moraine-promptfoo-'));
  const command = promptfoo();
  const served = await openServed({ baseDir: writeCallingBase(), baseName: 'base', adapters: [] });
  const app = createInference({ served, key: KEY, log: pino({ level: 'warn' }) });
  try {
    const apiBaseUrl = `${await app.listen({ host: '127.0.0.1', port: 0 })}/v1`;
    const client = new OpenAI({ baseURL: apiBaseUrl, apiKey: KEY });
    const plain = { temperature: 0, max_tokens: 16 };
    const say = async (content: string): Promise<string> => {
      const asked = { model: 'base', messages: [{ role: 'user' as const, content }], ...plain };
      return (await client.chat.completions.create(asked)).choices[0]?.message.content ?? '';
    };
    const complete = async (prompt: string): Promise<string> =>
      (await client.completions.create({ model: 'base', prompt, ...plain })).choices[0]?.text ?? '';
    const provider = (label: string, config: object, id = 'openai:chat:base') => ({
      ...{ id, label },
      config: { apiBaseUrl, apiKey: KEY, ...config },
    });
    const drawn = { temperature: 1, max_tokens: 60, seed: 2, passthrough: { logit_bias: ENDINGS } };
    const providers = [
      provider('chat', plain),
      provider('text', plain, 'openai:completion:base'),
      provider('json', { ...drawn, response_format: { type: 'json_object' } }),
      provider('tools', { ...drawn, tools: TOOLS, tool_choice: 'required' }),
    ];
    const only = (label: string, assert: object) => ({ providers: [label], assert: [assert] });
    const tests = [];
    for (const question of QUESTIONS) {
      const vars = { question };
      tests.push({ vars, ...only('chat', { type: 'equals', value: await say(question) }) });
      tests.push({ vars, ...only('text', { type: 'equals', value: await complete(question) }) });
      tests.push({ vars, ...only('json', { type: 'is-json' }) });
      tests.push({ vars, ...only('tools', { type: 'is-valid-openai-tools-call' }) });
    }
    const config = { description: 'moraine', prompts: ['{{question}}'], providers, tests };
    const outcomes = await evaluate(command, config, work);
    const failed = outcomes.filter(({ success }) => !success);
    for (const { provider: from, error, response } of failed)
      process.stdout.write(`${from.label ?? from.id}: ${error ?? ''} ${JSON.stringify(response?.output)}\n`);
    process.stdout.write(`Promptfoo ${VERSION}: ${outcomes.length} answers, ${failed.length} not as expected\n`);
    return failed.length === 0 && outcomes.length === tests.length ? 0 : 1;
  } finally {
    await app.close();
    served.dispose();
    rmSync(work, { recursive: true, force: true });
  }
}

process.exitCode = await main();
