import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const module = new URL('../dist/servers.js', import.meta.url).href;
const program = `const { startTestServers } = await import(${JSON.stringify(module)});
const { databaseUrl } = await (await startTestServers()).createDatabase('empty');
console.log('STARTED ' + databaseUrl); setInterval(() => {}, 1000);`;

/** Folders of test servers that some process was started in or for (Linux). */
const foldersInUse = (): Set<string> => {
  const found = new Set<string>();
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      for (const [folder] of readFileSync(`/proc/${pid}/cmdline`, 'utf8').matchAll(/[^\0]*moraine-test-\w+/g))
        found.add(folder);
    } catch {
      // It has ended meanwhile.
    }
  }
  return found;
};

test('a test run that is killed -9 leaves neither servers nor their folder', async () => {
  const before = foldersInUse();
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    cwd: fileURLToPath(new URL('../../..', import.meta.url)),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await new Promise<void>((resolve, reject) => {
    child.stdout.on('data', (chunk: Buffer) => chunk.toString().includes('STARTED') && resolve());
    child.once('exit', () => reject(new Error('it ended before the servers ran')));
  });
  const mine = [...foldersInUse()].filter((folder) => !before.has(folder));
  expect(mine.length).toBeGreaterThan(0);
  child.kill('SIGKILL');
  const isLeft = (): boolean => mine.some((folder) => existsSync(folder) || foldersInUse().has(folder));
  for (let waits = 0; isLeft() && waits < 200; waits++) await sleep(100);
  expect(isLeft()).toBe(false);
});
