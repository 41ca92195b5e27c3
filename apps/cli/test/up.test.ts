import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { RunObject } from '@moraine/contract';
import { afterAll, expect, test, vi } from 'vitest';
import { CLIENTS } from '../src/demo/snippets.js';
import { repoDir } from '../src/paths.js';
import { SHIPPED_BASE } from '../src/register-base.js';
import { buildStamp } from '../src/up/node-part.js';
import { identify, isRunning, type ProcessId } from '../src/up/processes.js';
import { readStack } from '../src/up/stack-file.js';
import { moraineOnce, processesOf, removeStack, startUp, type TestStack } from './stack.js';

// One stack for all tests, in order: each starts from what the one before left.
vi.setConfig({ testTimeout: 300_000, hookTimeout: 120_000 });
const dataDir = mkdtempSync(path.join(tmpdir(), 'moraine up '));
let stack: TestStack;
let { up, client } = {} as TestStack;
let runId = '';

const start = async (...words: string[]): Promise<void> => {
  stack = await startUp(dataDir, ...words);
  ({ up, client } = stack);
};
const run = (): Promise<RunObject> => client.call('getRun', { params: { id: runId } });
const until = async (what: string, holds: () => Promise<boolean>, timeoutMs = 120_000): Promise<void> => {
  const deadline = performance.now() + timeoutMs;
  while (!(await holds().catch(() => false))) {
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}\n${up.output()}`);
    await sleep(200);
  }
};
/** The process of a part, from what the supervisor printed last. */
const pidOf = (part: string): ProcessId => {
  const lines = [...up.output().matchAll(new RegExp(`^${part} (?:runs|was still running) \\(process (\\d+)\\)`, 'gm'))];
  const id = identify(Number(lines.at(-1)?.[1]));
  if (!id) throw new Error(`${part} does not run:\n${up.output()}`);
  return id;
};

afterAll(() => removeStack(dataDir, stack));

test('up starts everything from an empty folder, and env points a client at it', async () => {
  await start();
  expect(statSync(path.join(dataDir, 'stack.json')).mode & 0o777).toBe(0o600);
  const { status, output } = await moraineOnce(['env', '--data', dataDir]);
  expect(status).toBe(0);
  expect(output).toMatch(/^export OPENAI_BASE_URL=http:\/\/127\.0\.0\.1:\d+\/v1 OPENAI_API_KEY=mk-[\w-]+\n$/);
  // Every example of the documents names the shipped base.
  const { data } = await client.call('listModels');
  expect(data.map(({ id, kind }) => [id, kind])).toEqual([[SHIPPED_BASE, 'base']]);
  await until('a worker reports', async () => (await client.call('listWorkers')).data.length === 1);
});

test('a second up on the same data says where the first one is', async () => {
  const { status, output } = await moraineOnce(['up', '--data', dataDir]);
  expect(status).toBe(1);
  expect(output).toContain(`A stack already runs on ${dataDir} (process ${up.child.pid}, http://127.0.0.1:`);
});

test('a port that was asked for and is taken is an error that names it', async () => {
  const port = String(readStack(dataDir).api?.port);
  const other = mkdtempSync(path.join(tmpdir(), 'moraine up '));
  const { status, output } = await moraineOnce(['up', '--data', other, '--workers', '0', '--port', port]);
  expect(status).toBe(1);
  expect(output).toContain(`Port ${port} of 127.0.0.1 is taken`);
  expect(processesOf(other)).toEqual([]);
  rmSync(other, { recursive: true });
});

test('the curl and TypeScript clients that the demo prints work as printed', async () => {
  const { api, apiKey } = readStack(dataDir);
  const env = { ...process.env, OPENAI_BASE_URL: `${api?.url}/v1`, OPENAI_API_KEY: apiKey ?? '' };
  const shell = async (line: string): Promise<string> =>
    (await promisify(execFile)('sh', ['-c', line], { cwd: repoDir, env })).stdout;
  const job = RunObject.parse(JSON.parse(await shell(CLIENTS[0].run)));
  expect(job.config).toMatchObject({
    steps: 50,
    adapter: { type: 'mora', rank: 8 },
    optimizer: { learning_rate: 0.002 },
  });
  expect(await shell(CLIENTS[2].run)).toMatch(/^succeeded ft:moraine-tiny:/);
});

test('after kill -9 of the parent the next start takes over what runs, and a run goes on in the same attempt', async () => {
  const form = new FormData();
  form.append('purpose', 'fine-tune');
  const row = JSON.stringify({ prompt: 'Nalmen called Kelna.', completion: 'Kelna.' });
  form.append('file', new Blob([`${row}\n`.repeat(2000)]), 'rows.jsonl');
  const file = await client.call('createFile', { body: form });
  await until(
    'the file is checked',
    async () => (await client.call('getFile', { params: { id: file.id } })).status === 'processed',
  );
  const request = {
    model: SHIPPED_BASE,
    training_file: file.id,
    batch_size: 2,
    max_steps: 50_000,
    method: { type: 'supervised' as const, supervised: { hyperparameters: { n_epochs: 50 } } },
  };
  runId = (await client.call('createRun', { body: request })).id;
  await until('the run trains', async () => (await run()).progress.step > 3);

  const stamp = buildStamp();
  const before = ['postgres', 'redis', 'api', 'worker-1'].map(pidOf);
  up.child.kill('SIGKILL');
  await up.ended;
  await sleep(500);
  expect(before.every(isRunning)).toBe(true);
  await start();
  // Programs of an older build are not taken over: while somebody builds beside this test, only the servers are.
  const taken = buildStamp() === stamp ? 4 : 2;
  expect(['postgres', 'redis', 'api', 'worker-1'].map(pidOf).slice(0, taken)).toEqual(before.slice(0, taken));
  const { step } = (await run()).progress;
  await until('the run goes on', async () => (await run()).progress.step > step);
  if (taken === 4) expect((await run()).attempts).toHaveLength(1);
  expect((await client.call('listFiles', { query: {} })).data.map(({ id }) => id)).toContain(file.id);
});

test.each(['api', 'redis', 'postgres', 'worker-1'])('%s is started again after kill -9', async (part) => {
  const before = pidOf(part);
  process.kill(before.pid, 'SIGKILL');
  await until(`${part} runs again`, async () => pidOf(part).pid !== before.pid);
  await until('the stack answers', async () => (await run()).id === runId);
});

test('Ctrl-C gives the run back to the queue and leaves no process; the next start finds it', async () => {
  // The lease of the worker that was killed runs out first; its successor resumes the run.
  await until('the new worker trains the run', async () => {
    const { data } = await client.call('listWorkers');
    const mine = data.find((worker) => worker.pid === pidOf('worker-1').pid);
    return mine?.run_id === runId && (await run()).attempts.at(-1)?.status === 'running';
  });
  up.child.kill('SIGINT');
  expect(await up.ended).toBe(0);
  await sleep(300);
  expect(processesOf(dataDir)).toEqual([]);
  expect((await moraineOnce(['status', '--data', dataDir])).status).toBe(1);

  await start('--workers', '0');
  expect((await run()).status).toBe('queued');
  expect(readFileSync(path.join(dataDir, 'stack.json'), 'utf8')).toContain('"supervisor": {');
});

test('a second Ctrl-C ends what does not end by itself, at once', async () => {
  const postgres = pidOf('postgres');
  // A stopped API cannot answer SIGTERM.
  process.kill(pidOf('api').pid, 'SIGSTOP');
  up.child.kill('SIGINT');
  await up.says(/Stopping/);
  await sleep(400);
  up.child.kill('SIGINT');
  expect(await up.ended).toBe(130);
  expect(isRunning(postgres)).toBe(false);
  expect(processesOf(dataDir)).toEqual([]);
});
