import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { doctor } from '@moraine/engine/install';
import { expect, test } from 'vitest';
import { device, loadTf } from '../src/load.js';
import { nvidiaName } from '../src/nvidia-cards.js';
import { temporaryFolder } from './helpers.js';

test('TensorFlow loads once and computes on the native backend', () => {
  const tf = loadTf();
  expect(loadTf()).toBe(tf);
  expect(tf.getBackend()).toBe('tensorflow');
  const before = tf.memory().numTensors;
  const product = tf.tidy(() => tf.matMul([[1, 2]], [[3], [4]]).dataSync());
  expect([...product]).toEqual([11]);
  expect(tf.memory().numTensors).toBe(before);
});

// A child inherits the level that its parent set, and must not take it for a wish of the user's.
test.each([[{}], [{ TF_CPP_MIN_LOG_LEVEL: '3' }]])('a process that loads it prints nothing of its own: %j', (level) => {
  const { TF_CPP_MIN_LOG_LEVEL: _, ...env } = process.env;
  const code = `import { loadTf } from ${JSON.stringify(path.resolve(import.meta.dirname, '../dist/index.js'))};
    const tf = loadTf(); console.log(...tf.matMul([[1, 2]], [[3], [4]]).dataSync());`;
  const words = ['--no-deprecation', '--input-type=module', '-e', code];
  const { stdout, stderr } = spawnSync(process.execPath, words, { env: { ...env, ...level }, encoding: 'utf8' });
  expect(stdout).toBe('11\n');
  expect(stderr).not.toMatch(/absl|^[IWE]\d{4} /m);
});

test('a binding that was compiled before a part of this version is refused with what to do', () => {
  const index = JSON.stringify(path.resolve(import.meta.dirname, '../dist/index.js'));
  const code = `import { createRequire } from 'node:module';
    const require = createRequire(${index});
    const name = require.resolve('@tensorflow/tfjs-node-gpu');
    const backend = { binding: { TF_Version: '2.21.0' } };
    require.cache[name] = { id: name, loaded: true, exports: { engine: () => ({ findBackend: () => backend }) } };
    const { loadTf } = await import(${index});
    for (const _ of [1, 2]) try { loadTf(); console.log('loaded'); } catch ({ code, hint }) { console.log(code, hint); }`;
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', code], { encoding: 'utf8' });
  expect(stdout.match(/^runtime_broken .*npm run setup/gm)).toHaveLength(2);
});

test('the device names itself, the library’s version and its threads', () => {
  const found = device();
  expect(found.tensorflow).toMatch(/^2\.\d+\.\d+/);
  expect(['cpu', 'gpu']).toContain(found.kind);
  expect(found.name.length).toBeGreaterThan(2);
  expect(found.threads).toBeGreaterThan(0);
});

test('a GPU’s name comes from the driver’s text file', () => {
  const root = temporaryFolder();
  mkdirSync(path.join(root, '0000:01:00.0'));
  writeFileSync(path.join(root, '0000:01:00.0', 'information'), 'Model: \t\t NVIDIA Test 80GB\nIRQ:   16\n');
  expect(nvidiaName(root)).toBe('NVIDIA Test 80GB');
  expect(nvidiaName(path.join(root, 'none'))).toBeUndefined();
});

test('doctor reports this machine and loads TensorFlow in a process of its own', async () => {
  const report = await doctor();
  expect(report.problems).toEqual([]);
  expect(report.node).toBe(process.versions.node);
  expect(report.runtime?.isInstalled).toBe(true);
  expect(report.tensorflow).toBe(device().tensorflow);
  expect(report.cores).toBeGreaterThan(0);
  expect(report.diskFreeBytes).toBeGreaterThan(0);
});
