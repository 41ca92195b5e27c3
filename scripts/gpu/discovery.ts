/**
 * `npx tsx scripts/gpu/discovery.ts`: whether TensorFlow finds every CUDA library through our links, on a machine without a GPU. A stub
 * stands in for the driver, so that TensorFlow goes on to open the libraries, and its own log tells which. Needs `npm run setup -- --cuda`,
 * or `--package DIR` with an npm package that the CUDA wheels are linked into, and a C compiler. For a slim bundle name its `stubs` in
 * LD_LIBRARY_PATH, as `bin/test-gpu` does.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { runtimePackageDir } from '../../packages/engine/dist/runtime-package.js';

const { values } = parseArgs({ options: { package: { type: 'string' } } });
const packageDir = resolve(values.package ?? runtimePackageDir());
const work = mkdtempSync(join(tmpdir(), 'moraine-driver-'));
try {
  for (const name of ['libcuda.so.1', 'libnvidia-ml.so.1']) {
    const source = join(import.meta.dirname, 'stub-driver.c');
    execFileSync('cc', ['-w', '-shared', '-fPIC', `-Wl,-soname,${name}`, source, '-o', join(work, name)]);
  }
  const binding = join(packageDir, 'lib/napi-v8/tfjs_binding.node');
  // The binding alone: making its context is what looks for cards. It cannot end well with a stub, so its end is not looked at.
  const { stderr } = spawnSync(process.execPath, ['-e', `require(${JSON.stringify(binding)})`], {
    env: {
      ...process.env,
      LD_LIBRARY_PATH: [work, process.env.LD_LIBRARY_PATH ?? ''].join(':'),
      TF_CPP_MIN_LOG_LEVEL: '0',
      TF_CPP_MAX_VLOG_LEVEL: '1',
    },
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  });
  const opened = new Set([...stderr.matchAll(/Successfully opened dynamic library (\S+)/g)].map(([, name]) => name));
  const lost = new Set([...stderr.matchAll(/Could not load dynamic library '(\S+)'/g)].map(([, name]) => name));
  for (const name of opened) console.log(`found    ${name}`);
  for (const name of lost) console.log(`missing  ${name}`);
  const isRegistered = /Adding visible gpu devices: 0/.test(stderr);
  console.log(isRegistered ? 'The card is registered.' : 'The card is not registered.');
  process.exitCode = isRegistered && lost.size === 0 ? 0 : 1;
} finally {
  rmSync(work, { recursive: true, force: true });
}
