import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { requireSpace } from '../src/install/download.js';
import { installRuntime, runtimeStatus } from '../src/install/install-runtime.js';
import { findLibrary, isRuntimeFile } from '../src/install/library.js';
import { keepWheels, parseWheelLock } from '../src/install/lock-file.js';
import type { InstallProgress } from '../src/install/progress.js';
import { stageRuntime } from '../src/install/stage-runtime.js';
import { readWheelLock, unpackWheels } from '../src/install/unpack-wheels.js';
import { chooseVariant, compareVersions, findNvidiaDriver, targetOf } from '../src/platform.js';
import { runtimePackageDir } from '../src/runtime-package.js';
import { makeZip, temporaryFolder } from './helpers.js';

const folder = temporaryFolder();
const hash = 'a'.repeat(64);

describe('lock files', () => {
  const line = `tensorflow-cpu==2.21.0 --hash=sha256:${hash}`;

  test('name, version, hash and size are read; comments and blank lines do not change the key', () => {
    const one = parseWheelLock('x.txt', `# about\n\n${line}  # 274000871 bytes\n`);
    expect(one.wheels).toEqual([{ name: 'tensorflow-cpu', version: '2.21.0', sha256: hash, sizeBytes: 274000871 }]);
    expect(parseWheelLock('x.txt', line).key).toBe(one.key);
    expect(parseWheelLock('x.txt', line.replace('2.21.0', '2.21.1')).key).not.toBe(one.key);
  });

  test('some of the wheels are a lock of their own; all of them are the same lock', () => {
    const whole = readWheelLock('linux-x64-cuda');
    const some = keepWheels(whole, ['nvidia-cublas-cu12', 'tensorflow']);
    expect(some.wheels.map(({ name }) => name)).toEqual(['tensorflow', 'nvidia-cublas-cu12']);
    expect(some.key).not.toBe(whole.key);
    expect(
      keepWheels(
        whole,
        whole.wheels.map(({ name }) => name),
      ).key,
    ).toBe(whole.key);
  });

  test.each(['tensorflow-cpu==2.21.0', 'tensorflow-cpu>=2.21', '--extra-index-url=x', `x==1 --hash=sha256:${hash}0`])(
    'a line that locks nothing is refused: %s',
    (bad) => {
      expect(() => parseWheelLock('x.txt', `${line}\n${bad}`)).toThrow(/x\.txt, line 2 is not/);
    },
  );

  test('a file without a wheel is refused', () => {
    expect(() => parseWheelLock('x.txt', '# nothing')).toThrow(/locks no wheel/);
  });

  test.each([
    'linux-x64-cpu',
    'linux-x64-cuda',
    'linux-arm64-cpu',
    'darwin-arm64-cpu',
    'valkey-linux-x64',
    'valkey-linux-arm64',
    'valkey-darwin-arm64',
  ])('the shipped lock file %s names every wheel with its hash and size', (name) => {
    const { wheels } = readWheelLock(name);
    expect(wheels.length).toBe(name === 'linux-x64-cuda' ? 13 : 1);
    for (const wheel of wheels) expect(wheel.sizeBytes).toBeGreaterThan(1_000_000);
  });
});

describe('platform', () => {
  test('versions compare number by number', () => {
    expect([
      compareVersions('2.9', '2.28'),
      compareVersions('2.36', '2.28'),
      compareVersions('20.3', '20.3.0'),
    ]).toEqual([-1, 1, 0]);
  });

  test.each([
    ['an old glibc', { os: 'linux', arch: 'x64', glibc: '2.27' }, /glibc 2\.27/],
    ['musl', { os: 'linux', arch: 'x64', glibc: undefined }, /musl/],
    ['a Mac with Intel', { os: 'darwin', arch: 'x64', glibc: undefined }, /darwin-x64/],
    ['Windows', { os: 'win32', arch: 'x64', glibc: undefined }, /win32-x64/],
  ])('%s is named and the supported platforms are listed', (_name, platform, said) => {
    expect(() => targetOf(platform)).toThrow(said);
    expect(() => targetOf(platform)).toThrow(expect.objectContaining({ hint: expect.stringContaining('glibc 2.28') }));
  });

  test('a driver is found by its library, and its version by the name that the library links to', () => {
    const libs = path.join(folder, 'driver libs');
    mkdirSync(libs);
    const proc = path.join(folder, 'no proc');
    expect(findNvidiaDriver([libs], proc)).toBeNull();
    writeFileSync(path.join(libs, 'libcuda.so.570.124.06'), '');
    symlinkSync('libcuda.so.570.124.06', path.join(libs, 'libcuda.so.1'));
    expect(findNvidiaDriver(['/nowhere', libs], proc)).toEqual({
      version: '570.124.06',
      library: path.join(libs, 'libcuda.so.1'),
    });
  });

  test('a driver without its library is found by the kernel module', () => {
    const proc = path.join(folder, 'proc');
    mkdirSync(proc);
    writeFileSync(
      path.join(proc, 'version'),
      'NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  550.54.15  Release Build\n',
    );
    expect(findNvidiaDriver([], proc)).toEqual({ version: '550.54.15', library: undefined });
  });

  test('CUDA is taken when a driver is there, never without being possible', () => {
    const driver = { version: '570.1', library: 'x', management: 'y' };
    expect(chooseVariant('linux-x64', 'auto', driver)).toBe('cuda');
    expect(chooseVariant('linux-x64', 'auto', null)).toBe('cpu');
    expect(chooseVariant('linux-x64', 'cpu', driver)).toBe('cpu');
    expect(chooseVariant('linux-arm64', 'auto', driver)).toBe('cpu');
    expect(() => chooseVariant('darwin-arm64', 'cuda', null)).toThrow(/only for linux-x64/);
  });

  test('of NVIDIA’s wheels libraries and the XLA compiler are kept, of TensorFlow’s the C library and its headers', () => {
    const kept = [
      'nvidia/cudnn/lib/libcudnn.so.9',
      'nvidia/cuda_nvcc/bin/ptxas',
      'nvidia/cuda_nvcc/nvvm/libdevice/libdevice.10.bc',
    ];
    expect(kept.filter(isRuntimeFile)).toEqual(kept);
    expect(isRuntimeFile('tensorflow/include/tensorflow/c/c_api.h')).toBe(true);
    const dropped = [
      'nvidia/cudnn/include/cudnn.h',
      'tensorflow/python/x.so',
      'tensorflow/include/external/x.h',
      'nvidia/__init__.py',
    ];
    expect(dropped.filter(isRuntimeFile)).toEqual([]);
  });
});

describe('wheels through pip, from a folder instead of a network', () => {
  const index = path.join(folder, 'index');
  const wheelFile = path.join(index, 'moraine_probe-1.0-py3-none-any.whl');
  const content = makeZip([
    { name: 'moraine_probe/hello.txt', data: Buffer.from('hello') },
    {
      name: 'moraine_probe-1.0.dist-info/METADATA',
      data: Buffer.from('Metadata-Version: 2.1\nName: moraine-probe\nVersion: 1.0\n'),
    },
    {
      name: 'moraine_probe-1.0.dist-info/WHEEL',
      data: Buffer.from('Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n'),
    },
    { name: 'moraine_probe-1.0.dist-info/RECORD', data: Buffer.from('') },
  ]);
  const sha256 = createHash('sha256').update(content).digest('hex');
  const before = { find: process.env.PIP_FIND_LINKS, none: process.env.PIP_NO_INDEX };
  let caches = 0;

  beforeEach(() => {
    mkdirSync(index, { recursive: true });
    writeFileSync(wheelFile, content);
    process.env.PIP_FIND_LINKS = index.replaceAll(' ', '%20').replace(/^/, 'file://');
    process.env.PIP_NO_INDEX = '1';
  });
  afterEach(() => {
    for (const [name, value] of [
      ['PIP_FIND_LINKS', before.find],
      ['PIP_NO_INDEX', before.none],
    ] as const) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  });

  const options = (lockedHash: string, cache = path.join(folder, `cache ${caches++}`)) => ({
    lock: parseWheelLock('t.txt', `moraine-probe==1.0 --hash=sha256:${lockedHash}  # ${content.length} bytes`),
    target: 'linux-x64' as const,
    cache,
    kind: 'probe',
    wanted: (name: string) => name.startsWith('moraine_probe/'),
    growth: 2,
    force: false,
    onProgress: () => {},
  });

  test('a wheel is fetched, checked and unpacked into a folder that appears complete', async () => {
    const done = await unpackWheels(options(sha256));
    expect(readFileSync(path.join(done, 'moraine_probe', 'hello.txt'), 'utf8')).toBe('hello');
    expect(readdirSync(done)).toEqual(['moraine_probe']);
    expect(readdirSync(path.dirname(done))).toHaveLength(1);
  });

  test('a wrong hash is refused, both hashes are named, and nothing is left', async () => {
    const wrong = options('b'.repeat(64));
    const error = await unpackWheels(wrong).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: 'runtime_hash_mismatch' });
    expect(String(error)).toContain(sha256);
    expect(String(error)).toContain('b'.repeat(64));
    expect(readdirSync(path.join(wrong.cache, 'probe'))).toEqual([]);
  });

  test('a wheel placed by hand is used without pip, and refused when it is another file', async () => {
    process.env.PIP_FIND_LINKS = '/nowhere';
    const placed = options(sha256);
    mkdirSync(path.join(placed.cache, 'wheels'), { recursive: true });
    writeFileSync(path.join(placed.cache, 'wheels', path.basename(wheelFile)), content);
    expect(existsSync(path.join(await unpackWheels(placed), 'moraine_probe/hello.txt'))).toBe(true);
    const other = options('c'.repeat(64), placed.cache);
    await expect(unpackWheels(other)).rejects.toMatchObject({ code: 'runtime_hash_mismatch' });
  });

  test('when pip cannot find the wheel, the message names the file to place by hand, where, and its hash', async () => {
    rmSync(wheelFile);
    const lost = options(sha256);
    await expect(unpackWheels(lost)).rejects.toMatchObject({
      code: 'runtime_download_failed',
      hint: expect.stringMatching(new RegExp(`${lost.cache}/wheels/; its sha256 is ${sha256}`)),
    });
  });

  test('two installations at once both end with the files, and one waits for the other', async () => {
    const same = options(sha256);
    const waits: InstallProgress[] = [];
    const watching = { ...same, onProgress: (progress: InstallProgress) => waits.push(progress) };
    const [one, two] = await Promise.all([unpackWheels(watching), unpackWheels(watching)]);
    expect(one).toBe(two);
    expect(waits.filter((progress) => progress.phase === 'download' && progress.doneBytes === 0)).toHaveLength(1);
    expect(waits.some((progress) => progress.phase === 'wait')).toBe(true);
  });

  test('an installation that was killed is taken over at once, and its leavings are removed', async () => {
    const { cache, lock, ...rest } = options(sha256);
    const left = path.join(cache, 'probe', `${lock.key}.999.part`);
    mkdirSync(left, { recursive: true });
    const child = await holdLock(path.join(cache, 'locks', `probe-${lock.key}.lock`));
    child.kill('SIGKILL');
    await once(child, 'exit');
    const started = Date.now();
    expect(existsSync(await unpackWheels({ ...rest, cache, lock }))).toBe(true);
    expect(Date.now() - started).toBeLessThan(20_000); // far below the minute that a silent holder is given
    expect(existsSync(left)).toBe(false);
  });

  /** A process that takes the lock for ever and says when it has it. */
  async function holdLock(file: string): Promise<ChildProcess> {
    const module = new URL('../dist/install/file-lock.js', import.meta.url).href;
    const script = `import { withFileLock } from ${JSON.stringify(module)};
      await withFileLock(${JSON.stringify(file)}, async () => { console.log('held'); setInterval(() => {}, 1000); await new Promise(() => {}); });`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    if (child.stdout === null) throw new Error('no output');
    await once(child.stdout, 'data');
    return child;
  }
});

test('too little disk is said before anything is written, with both sizes', () => {
  expect(() => requireSpace(folder, 2 ** 60)).toThrow(/needs 1073741824\.0 GiB in .* GiB are free/);
});

describe('linking into the npm package', () => {
  const packageDir = path.join(folder, 'node_modules', '@tensorflow', 'tfjs-node-gpu');
  const installed = runtimePackageDir();

  beforeEach(() => {
    rmSync(packageDir, { recursive: true, force: true });
    cpSync(path.join(installed, 'binding'), path.join(packageDir, 'binding'), { recursive: true });
    cpSync(path.join(installed, 'package.json'), path.join(packageDir, 'package.json'));
  });

  test('after npm ci only links are made from the cache, and the status changes from missing to installed', async () => {
    expect(runtimeStatus({ packageDir })).toMatchObject({ isInstalled: false, reason: 'it was never linked here' });
    const phases: string[] = [];
    const started = performance.now();
    await installRuntime({ packageDir }, ({ phase }) => phases.push(phase));
    console.log(`linked again in ${(performance.now() - started).toFixed(0)} ms`);
    expect(phases).toEqual(['link']);
    expect(runtimeStatus({ packageDir })).toMatchObject({ isInstalled: true, reason: undefined });
    const library = readlinkSync(path.join(packageDir, 'deps/lib/libtensorflow.so'));
    expect(existsSync(library)).toBe(true);
  });

  test('a binding of other sources is noticed', async () => {
    await installRuntime({ packageDir });
    const stamp = path.join(packageDir, '.moraine-runtime.json');
    writeFileSync(stamp, JSON.stringify({ ...JSON.parse(readFileSync(stamp, 'utf8')), native: 'other' }));
    expect(runtimeStatus({ packageDir })).toMatchObject({
      isInstalled: false,
      reason: expect.stringContaining('other sources'),
    });
  });

  test('a library that went away is noticed', async () => {
    await installRuntime({ packageDir });
    rmSync(path.join(packageDir, 'deps/lib/libtensorflow.so'));
    symlinkSync('/nowhere/libtensorflow_cc.so.2', path.join(packageDir, 'deps/lib/libtensorflow.so'));
    expect(runtimeStatus({ packageDir })).toMatchObject({
      isInstalled: false,
      reason: expect.stringContaining('does not exist'),
    });
  });

  test('a runtime for another machine is listed from the cache, with a stamp that holds wherever its folder is put', async () => {
    const staging = path.join(folder, 'staging');
    mkdirSync(staging);
    const { files, cuda, stamp } = await stageRuntime({ variant: 'cpu', isSlim: true, folder: staging });
    expect(cuda).toEqual([]);
    const names = files.map(({ name }) => name);
    expect(names).toContain('lib/napi-v8/tfjs_binding.node');
    expect(files).toContainEqual({ name: 'deps/lib/libtensorflow.so', link: 'libtensorflow_cc.so.2' });
    // As a bundle unpacks it: everything inside of the package, no link leads out.
    for (const file of files) {
      const target = path.join(packageDir, file.name);
      mkdirSync(path.dirname(target), { recursive: true });
      symlinkSync('link' in file ? file.link : file.from, target);
    }
    writeFileSync(path.join(packageDir, '.moraine-runtime.json'), JSON.stringify(stamp));
    expect(runtimeStatus({ packageDir })).toMatchObject({ isInstalled: true, variant: 'cpu' });
    rmSync(path.join(packageDir, stamp.library));
    expect(runtimeStatus({ packageDir }).isInstalled).toBe(false);
  });

  test('MORAINE_ENGINE_DIR takes the library of that folder, and says what is missing in an empty one', async () => {
    const library = readlinkSync(path.join(installed, 'deps/lib/libtensorflow.so'));
    const own = path.join(folder, 'own engine');
    mkdirSync(own);
    expect(() => findLibrary(own)).toThrow(/holds no TensorFlow: .* are needed/);
    symlinkSync(path.dirname(library), path.join(own, 'tensorflow'));
    const { variant } = await installRuntime({ packageDir, engineDir: own });
    expect(variant).toBe('own');
    expect(readlinkSync(path.join(packageDir, 'deps/lib/libtensorflow.so'))).toContain('own engine');
    expect(runtimeStatus({ packageDir, engineDir: own }).isInstalled).toBe(true);
    expect(runtimeStatus({ packageDir }).isInstalled).toBe(false);
  }, 300_000); // compiles once a machine
});

test('an engine without its native part says so with the command that repairs it', async () => {
  const copy = path.join(folder, 'copy');
  const dist = fileURLToPath(new URL('../dist', import.meta.url));
  cpSync(dist, path.join(copy, 'dist'), { recursive: true });
  writeFileSync(path.join(copy, 'package.json'), '{"type":"module"}');
  const bare = path.join(copy, 'node_modules', '@tensorflow', 'tfjs-node-gpu');
  mkdirSync(bare, { recursive: true });
  writeFileSync(path.join(bare, 'package.json'), '{"version":"4.22.0"}');
  const script = `import('${path.join(copy, 'dist/load.js')}').then((m) => m.loadTf()).catch((e) => console.log(e.code, '|', e.message, '|', e.hint))`;
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  await once(child, 'close');
  expect(said).toMatch(/^runtime_missing \| .*tfjs_binding\.node does not exist\. \| Run `npm start`/);
});
