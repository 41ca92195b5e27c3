import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { inRepo } from '../src/paths.js';
import { watchBuilds, watchSources } from '../src/up/dev.js';
import { type KeptPart, keepRunning } from '../src/up/keep-running.js';
import { endProcess, identify } from '../src/up/processes.js';
import { processesOf, removeStack } from './stack.js';

// A repository of three rooms whose build copies one file, watched by the real turbo; each part is a real process.
vi.setConfig({ testTimeout: 60_000 });
const root = mkdtempSync(path.join(tmpdir(), 'moraine-dev-'));
const ROOMS = ['packages/shared', 'apps/api', 'apps/worker'];
const inRoot = (...parts: string[]): string => path.join(root, ...parts);
const write = (file: string, content: unknown): void => {
  mkdirSync(path.dirname(inRoot(file)), { recursive: true });
  writeFileSync(inRoot(file), typeof content === 'string' ? content : JSON.stringify(content));
};
let parts: KeptPart[];
let close: (() => void) | null = null;
let said: string[];

async function keep(name: string): Promise<KeptPart> {
  const start = async () => {
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
    const id = identify(child.pid ?? 0);
    if (!id) throw new Error(`${name} has no id`);
    const stop = () => endProcess(id, 'SIGKILL', 5_000);
    return { id, adopted: false, ended: once(child, 'close').then(() => undefined), stop, kill: stop };
  };
  return keepRunning(name, start, () => {});
}
const pids = (): Record<string, number | undefined> =>
  Object.fromEntries(parts.map((part) => [part.name, part.current()?.id.pid]));
/** The parts that another process runs by now. */
const restarted = (before: Record<string, number | undefined>): string[] =>
  parts.filter(({ name }) => pids()[name] !== undefined && pids()[name] !== before[name]).map(({ name }) => name);

beforeAll(async () => {
  write('package.json', { name: 'tree', private: true, packageManager: 'npm@11.0.0', workspaces: ROOMS });
  write('package-lock.json', { lockfileVersion: 3, packages: {} });
  write('turbo.json', { tasks: { build: { inputs: ['src/**'], outputs: ['dist/**'] } } });
  for (const room of ROOMS) {
    const build = "node -e \"fs.mkdirSync('dist',{recursive:true});fs.copyFileSync('src/a.js','dist/a.js')\"";
    write(`${room}/package.json`, { name: path.basename(room), version: '1.0.0', scripts: { build } });
    for (const folder of ['src', 'dist']) write(`${room}/${folder}/a.js`, '// as built before\n');
  }
  symlinkSync(inRepo('node_modules'), inRoot('node_modules'));
  parts = await Promise.all(['postgres', 'redis', 'api', 'worker-1', 'worker-2'].map(keep));
});
afterEach(() => {
  close?.();
  close = null;
});
afterAll(async () => {
  await Promise.all(parts.map((part) => part.kill()));
  await removeStack(root);
});
const open = (watch: typeof watchBuilds): void => {
  said = [];
  ({ close } = watch({ parts }, (line) => said.push(line), root));
};

describe('what was built anew', () => {
  test.each([
    ['apps/api', ['api']],
    ['apps/worker', ['worker-1', 'worker-2']],
    ['packages/shared', ['api', 'worker-1', 'worker-2']],
  ])('in %s restarts %j, once for all its files, and no server', async (room, names) => {
    open(watchBuilds);
    const before = pids();
    for (let i = 0; i < 3; i++) write(`${room}/dist/more/${i}.js`, `// ${Math.random()}\n`);
    await expect.poll(() => restarted(before), { timeout: 15_000 }).toEqual(names);
    expect(said).toEqual([`Rebuilt: ${names.join(', ')} restarted.`]);
  });

  test('as declarations or maps restarts nothing', async () => {
    open(watchBuilds);
    const before = pids();
    for (const file of ['a.d.ts', 'a.js.map']) write(`packages/shared/dist/${file}`, '');
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect(restarted(before)).toEqual([]);
    expect(said).toEqual([]);
  });
});

test('a source that changes is built, and after close nothing builds any more', async () => {
  open(watchSources);
  const dist = inRoot('apps', 'api', 'dist', 'a.js');
  const before = pids();
  let edits = 0;
  // The builder looks at files from some moment on that it does not announce: edit until one is seen.
  await expect
    .poll(
      () => {
        appendFileSync(inRoot('apps', 'api', 'src', 'a.js'), `// edit ${++edits}\n`);
        return readFileSync(dist, 'utf8');
      },
      { timeout: 40_000, interval: 1_000 },
    )
    .toContain('// edit');
  await expect.poll(() => restarted(before), { timeout: 15_000 }).toContain('api');
  expect(processesOf(root)).not.toEqual([]);
  close?.();
  await expect.poll(() => processesOf(root), { timeout: 10_000 }).toEqual([]);
});
