import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';

vi.setConfig({ testTimeout: 30_000 });

const program = (start: string): string => `
  import { untilSignal } from ${JSON.stringify(new URL('../dist/signals.js', import.meta.url).href)};
  import { setTimeout as sleep } from 'node:timers/promises';
  process.exitCode = await untilSignal(async (signal) => { ${start} });
  console.log('over');`;
const RUNNING = (stop: string): string => `
  console.log('ready');
  return { stop: async () => { console.log('stop'); ${stop} console.log('stopped'); }, kill: async () => console.log('kill') };`;

interface Watched {
  child: ChildProcess;
  said: () => string[];
  ended: Promise<number | null>;
}

/** Runs a program until it is ready for signals. */
async function startProgram(start: string): Promise<Watched> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', program(start)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  const said = (): string[] => text.trim().split('\n');
  const ended = once(child, 'close').then(([status]) => status as number | null);
  await expect.poll(said, { timeout: 10_000 }).toContain('ready');
  return { child, said, ended };
}

test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('%s stops what runs, with status 0', async (name) => {
  const { child, said, ended } = await startProgram(RUNNING('await sleep(50);'));
  child.kill(name);
  expect(await ended).toBe(0);
  expect(said()).toEqual(['ready', 'stop', 'stopped', 'over']);
});

test('a second Ctrl-C kills what does not stop, with status 130', async () => {
  const { child, said, ended } = await startProgram(RUNNING('await sleep(600_000, undefined, { ref: false });'));
  child.kill('SIGINT');
  await sleep(400);
  child.kill('SIGINT');
  expect(await ended).toBe(130);
  expect(said()).toEqual(['ready', 'stop', 'kill', 'over']);
});

test('a Ctrl-C that arrives twice at once, as npm passes it on, counts once', async () => {
  const { child, said, ended } = await startProgram(RUNNING('await sleep(500);'));
  child.kill('SIGINT');
  await expect.poll(said).toContain('stop');
  child.kill('SIGINT');
  expect(await ended).toBe(0);
  expect(said()).toEqual(['ready', 'stop', 'stopped', 'over']);
});

test('Ctrl-C during the start gives the start up, with status 130', async () => {
  const { child, said, ended } = await startProgram(
    "console.log('ready'); await sleep(600_000, undefined, { signal }).catch(() => signal.throwIfAborted());",
  );
  child.kill('SIGINT');
  expect(await ended).toBe(130);
  expect(said()).toEqual(['ready', 'over']);
});

test('a start with nothing to wait for ends with its own status', async () => {
  const { ended } = await startProgram("console.log('ready'); return 7;");
  expect(await ended).toBe(7);
});
