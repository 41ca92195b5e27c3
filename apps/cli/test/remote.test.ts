import { mkdtempSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { columnsOf, moraineOnce, processesOf, removeStack, startUp, type TestStack } from './stack.js';
import { writeTinyBase } from './tiny-base.js';

// The commands that talk to a stack, against a real one without workers: its runs stay queued.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 300_000 });
const dataDir = mkdtempSync(path.join(tmpdir(), 'moraine remote '));
let stack: TestStack;
let { up, client, address, cli } = {} as TestStack;
let runIds: string[];

async function submitRun(suffix: string, fileId: string): Promise<string> {
  const run = await client.call('createRun', { body: { model: 'tiny', training_file: fileId, suffix, max_steps: 7 } });
  return run.id;
}

async function uploadRows(): Promise<string> {
  const form = new FormData();
  form.append('purpose', 'fine-tune');
  form.append('file', new Blob(['{"prompt":"a","completion":"b"}\n'.repeat(20)]), 'rows.jsonl');
  const { id } = await client.call('createFile', { body: form });
  while ((await client.call('getFile', { params: { id } })).status === 'uploaded') await sleep(50);
  return id;
}

beforeAll(async () => {
  stack = await startUp(dataDir, '--workers', '0');
  ({ up, client, address, cli } = stack);
});
afterAll(() => removeStack(dataDir, stack));

test('models and runs say that there are none yet', async () => {
  expect(await cli('models', 'ls')).toEqual({
    status: 0,
    output: 'No models yet. Register a base with `moraine models add NAME DIR`.\n',
  });
  expect(await cli('runs', 'ls')).toEqual({ status: 0, output: 'No runs yet.\n' });
});

test('models add registers a folder under a name, and models ls lists it', async () => {
  const base = path.join(dataDir, 'tiny');
  writeTinyBase(base);
  const added = await cli('models', 'add', 'tiny', base);
  expect(added.output).toMatch(/^tiny: [\d,]+ parameters, context 256 tokens\.\n$/);
  const { output } = await cli('models', 'ls');
  expect(columnsOf(output.split('\n')[2]).slice(0, 2)).toEqual(['tiny', 'base']);
});

test('runs ls lists the newest run first, as many as asked for', async () => {
  const file = await uploadRows();
  runIds = [await submitRun('first', file), await submitRun('second', file)];
  const [titles, , ...rows] = (await cli('runs', 'ls')).output.trimEnd().split('\n');
  expect(columnsOf(titles)).toEqual(['RUN', 'STATUS', 'MODEL', 'METHOD', 'STEP', 'LOSS', 'SUFFIX']);
  expect(rows.map((row) => columnsOf(row)[0])).toEqual(runIds.toReversed());
  expect(columnsOf(rows[0]).slice(1)).toEqual(['queued', 'tiny', 'lora r8', '0/7', 'second']);
  expect((await cli('runs', 'ls', '--limit', '1')).output).not.toContain(runIds[0]);
});

test('runs show says what a run is, why it waits and what has happened', async () => {
  const { status, output } = await cli('runs', 'show', runIds[0] ?? '');
  expect(status).toBe(0);
  expect(output).toMatch(new RegExp(`^run +${runIds[0]}$`, 'm'));
  expect(output).toMatch(/^why +\S.*worker/m);
  expect(output).toMatch(/^step +0 of 7, \d+ rows each$/m);
  expect(output).toMatch(/^\d\d:\d\d:\d\d .*(created|queued)/im);
});

test('runs cancel ends a queued run, and a second one is refused with the reason', async () => {
  const [id = ''] = runIds;
  expect((await cli('runs', 'cancel', id)).output).toBe(`${id}: cancelled\n`);
  expect((await client.call('getRun', { params: { id } })).status).toBe('cancelled');
  const again = await cli('runs', 'cancel', id);
  expect(again.status).toBe(1);
  expect(again.output).toContain('cancelled');
});

test('runs logs of a run that no worker has taken are empty', async () => {
  expect(await cli('runs', 'logs', runIds[1] ?? '')).toEqual({ status: 0, output: '' });
});

test('a run that has no adapter cannot be downloaded, and no file is left', async () => {
  const out = path.join(dataDir, 'adapter.tar');
  const { status, output } = await cli('runs', 'download', runIds[1] ?? '', '--out', out);
  expect(status).toBe(1);
  expect(output).toContain(runIds[1]);
  expect(readdirSync(dataDir)).not.toContain('adapter.tar');
});

test('an id that names nothing is an error of one line', async () => {
  const { status, output } = await cli('runs', 'show', 'ftjob-none');
  expect(status).toBe(1);
  expect(output).toMatch(/^moraine: .*ftjob-none.*\n$/);
});

test('login prints a link that opens one browser, once', async () => {
  const { status, output } = await cli('login');
  expect(status).toBe(0);
  const open = () => fetch(output.trim(), { redirect: 'manual' });
  expect((await open()).headers.get('set-cookie')).toMatch(/HttpOnly/i);
  expect((await open()).headers.get('set-cookie')).toBeNull();
});

test('env is a line that a shell evaluates to the address and the key', async () => {
  const { output } = await cli('env');
  expect(output).toBe(`export OPENAI_BASE_URL=${address.origin}/v1 OPENAI_API_KEY=${address.apiKey}\n`);
});

test('without a stack here the commands talk to the server that the environment names, unless --data is given', async () => {
  const elsewhere = path.join(dataDir, 'none');
  const remote = {
    OPENAI_BASE_URL: `${address.origin}/v1/`,
    OPENAI_API_KEY: address.apiKey,
    MORAINE_DATA: elsewhere,
  };
  expect((await moraineOnce(['runs', 'ls'], remote)).output).toContain(runIds[1]);
  const { status, output } = await moraineOnce(['runs', 'ls', '--data', elsewhere], remote);
  expect(status).toBe(1);
  expect(output).toContain(`No stack runs on ${elsewhere}.`);
  const wrongKey = await moraineOnce(['runs', 'ls'], { ...remote, OPENAI_API_KEY: 'mk-wrong' });
  expect(wrongKey.status).toBe(1);
  expect(wrongKey.output).not.toContain(runIds[1]);
});

test('status names the stack and says that no worker has reported', async () => {
  expect(await cli('status')).toEqual({
    status: 0,
    output: `The stack on ${dataDir} is at ${address.origin} (process ${up.child.pid}).\nNo worker has reported yet.\n`,
  });
});

test('SIGTERM, as a service manager sends it, ends every part of the stack with status 0', async () => {
  expect(processesOf(dataDir).length).toBeGreaterThanOrEqual(4);
  up.child.kill('SIGTERM');
  expect(await up.ended).toBe(0);
  expect(processesOf(dataDir)).toEqual([]);
  expect((await cli('status')).output).toBe(`No stack runs on ${dataDir}.\n`);
});
