import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { baseForm, train } from '../fixtures.js';
import { chatRows, startApi, type TestApi } from '../support.js';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const REQUIREMENTS = here('requirements.txt');

let api: TestApi;
let dir: string;
let packages: string;
beforeAll(async () => {
  packages = await install();
  api = await startApi();
  dir = await mkdtemp(join(tmpdir(), 'moraine-python-'));
  await writeFile(join(dir, 'train.jsonl'), chatRows(8));
  await api.ask('POST', '/v1/bases', { body: baseForm('tiny') });
}, 300_000);
afterAll(async () => {
  await api.close();
  await rm(dir, { recursive: true });
});

/** Runs python3; `onLine` hears each line that it prints. Answers the last one. */
async function python(
  args: string[],
  env: Record<string, string>,
  onLine: (line: string) => void = () => undefined,
): Promise<string> {
  const child = spawn('python3', args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  let read = 0;
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
    const lines = text.split('\n');
    for (; read < lines.length - 1; read++) onLine(lines[read] ?? '');
  });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`python3 ${args[0]} ended with ${code}`);
  return text.trimEnd().split('\n').at(-1) ?? '';
}

/** The client, once per version, under `.venv` of the repository. */
async function install(): Promise<string> {
  const wanted = (await readFile(REQUIREMENTS, 'utf8')).trim();
  const target = here(`../../../../.venv/${wanted.replaceAll('==', '-')}`);
  if (!existsSync(join(target, 'openai')))
    await python(['-m', 'pip', 'install', '--quiet', '--requirement', REQUIREMENTS, '--target', target], {});
  return target;
}

it('the stock Python client goes the whole road', async () => {
  let trained: Promise<void> | null = null;
  const env = { PYTHONPATH: packages, OPENAI_BASE_URL: `${api.url}/v1`, OPENAI_API_KEY: api.key };
  const last = await python([here('client.py'), join(dir, 'train.jsonl')], env, (line) => {
    const id = /^JOB (\S+)/.exec(line)?.[1];
    if (id) trained = train(api.services, id);
  });
  await trained;
  expect(JSON.parse(last)).toEqual({
    file: 'processed',
    chunked: ['completed', 'processed', true],
    run: 'succeeded',
    adapter: 'mora',
    events: [
      expect.stringMatching(/^The run succeeded; new model ft:tiny:/),
      expect.stringMatching(/^Created fine-tuning job/),
      true,
    ],
    checkpoints: [10, 5],
    model: true,
    listed: true,
    without: [],
    paused: ['paused', 'queued'],
    cancelled: 'cancelled',
    again: 'conflict',
    unknown: ['unknown_key', 'adaptor', true],
    content: chatRows(8),
    deleted: true,
  });
});
