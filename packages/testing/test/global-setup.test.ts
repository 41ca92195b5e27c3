import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { serversAddress, setServersAddress, setTemporaryFolder } from '../src/env.js';
import { setup } from '../src/global-setup.js';

const [folder, address] = [tmpdir(), serversAddress() ?? ''];
afterAll(() => {
  setTemporaryFolder(folder);
  setServersAddress(address);
});

test('temporary files of a test run are in a folder of its own, which other users may pass and children inherit', () => {
  expect(path.basename(folder)).toMatch(/^mt-/);
  expect(statSync(folder).mode & 0o777).toBe(0o755);
  expect(execFileSync(process.execPath, ['-p', 'os.tmpdir()'], { encoding: 'utf8' }).trim()).toBe(folder);
  // The longest socket that a test opens is some 60 characters below it; the limit is 107.
  expect(folder.length).toBeLessThan(40);
});

test('the folder goes with the run, and with it what its tests left there', async () => {
  const end = await setup();
  expect(tmpdir()).not.toBe(folder);
  const left = mkdtempSync(path.join(tmpdir(), 'moraine-left-'));
  await end();
  expect([existsSync(left), existsSync(tmpdir())]).toEqual([false, false]);
});
