import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import {
  cudaEnvironment,
  cudaLibraries,
  cudaStubs,
  findCudaParts,
  firstVisibleCard,
  missingLibraries,
  visibleCards,
  withDataDir,
} from '../src/cuda.js';
import { gpuProblems, type NvidiaReport } from '../src/install/doctor.js';
import { linkRuntime } from '../src/install/link.js';
import { nvidiaCards, nvidiaName } from '../src/nvidia-cards.js';
import { temporaryFolder } from './helpers.js';

const folder = temporaryFolder();
const dist = fileURLToPath(new URL('../dist', import.meta.url));

/** A file with nothing in it, with the folders above it. */
function touch(...parts: string[]): string {
  const file = path.join(...parts);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, '');
  return file;
}

/** The nvidia folder that the twelve wheels unpack to, as empty files. */
function fakeWheels(root: string): string {
  for (const library of cudaLibraries) touch(root, 'nvidia', library.folder, 'lib', library.file);
  touch(root, 'nvidia', 'cuda_nvcc', 'bin', 'ptxas');
  touch(root, 'nvidia', 'cuda_nvcc', 'nvvm', 'libdevice', 'libdevice.10.bc');
  return root;
}

describe('CUDA_VISIBLE_DEVICES', () => {
  test.each([
    [undefined, 'all'],
    ['', 'none'],
    ['-1', 'none'],
    ['NoDevFiles', 'none'],
    ['0', ['0']],
    ['2, 0', ['2', '0']],
    ['1,-1,0', ['1']],
    ['GPU-6c1f', ['GPU-6c1f']],
  ])('%j means %j', (value, expected) => {
    expect(visibleCards(value)).toEqual(expected);
  });

  test('the device is named after the first visible card, in the order of the PCI bus', () => {
    const root = path.join(folder, 'cards');
    for (const [slot, name, uuid] of [
      ['0000:41:00.0', 'NVIDIA B', 'GPU-bb12'],
      ['0000:01:00.0', 'NVIDIA A', 'GPU-aa34'],
    ]) {
      mkdirSync(path.join(root, slot ?? ''), { recursive: true });
      writeFileSync(
        path.join(root, slot ?? '', 'information'),
        `Model: \t\t ${name}\nIRQ:   16\nGPU UUID: \t ${uuid}\n`,
      );
    }
    const cards = nvidiaCards(root);
    expect(cards.map(({ name }) => name)).toEqual(['NVIDIA A', 'NVIDIA B']);
    const nameOf = (value: string | undefined, isByBus = true) =>
      firstVisibleCard(cards, visibleCards(value), isByBus)?.name;
    expect([nameOf(undefined), nameOf('1'), nameOf('1,0'), nameOf('GPU-bb')]).toEqual([
      'NVIDIA A',
      'NVIDIA B',
      'NVIDIA B',
      'NVIDIA B',
    ]);
    expect([nameOf('-1'), nameOf('7'), nameOf('MIG-1')]).toEqual([undefined, undefined, undefined]);
    // Sorted by speed, number 0 may be either of two different cards.
    expect(nameOf('0', false)).toBeUndefined();
    expect(nvidiaName(root, '1')).toBeUndefined();
    const [first] = cards;
    expect(firstVisibleCard(first ? [first, first] : [], ['1'], false)?.name).toBe('NVIDIA A');
  });
});

describe('the variables that TensorFlow and CUDA read', () => {
  const packageDir = fakeWheels(path.join(folder, 'with wheels'));
  const data = path.join(packageDir, 'nvidia', 'cuda_nvcc');

  test('on a machine where nothing is set, memory grows, kernels are kept and XLA finds its tools', () => {
    expect(cudaEnvironment({ PATH: '/bin' }, packageDir, '/cache')).toEqual({
      TF_FORCE_GPU_ALLOW_GROWTH: 'true',
      CUDA_VISIBLE_DEVICES: '0',
      CUDA_DEVICE_ORDER: 'PCI_BUS_ID',
      CUDA_CACHE_PATH: '/cache/cuda-kernels',
      CUDA_CACHE_MAXSIZE: '4294967295',
      XLA_FLAGS: `--xla_gpu_cuda_data_dir="${data}"`,
      PATH: `/bin:${data}/bin`,
    });
  });

  test('what the user set stays, and ours comes behind it', () => {
    const user = {
      TF_FORCE_GPU_ALLOW_GROWTH: 'false',
      CUDA_VISIBLE_DEVICES: '1,2',
      CUDA_DEVICE_ORDER: 'FASTEST_FIRST',
      CUDA_CACHE_PATH: '/mine',
      CUDA_CACHE_MAXSIZE: '1',
      XLA_FLAGS: '--xla_dump_to=/x',
      PATH: `/bin:${data}/bin`,
    };
    expect(cudaEnvironment(user, packageDir, '/cache')).toEqual({
      XLA_FLAGS: `--xla_dump_to=/x --xla_gpu_cuda_data_dir="${data}"`,
    });
    expect(withDataDir('--xla_gpu_cuda_data_dir=/mine', data)).toBeNull();
    expect(withDataDir('/a/file/of/flags', data)).toBeNull();
    expect(withDataDir(undefined, '/plain')).toBe('--xla_gpu_cuda_data_dir=/plain');
  });

  test('without the nvcc wheel PATH and XLA_FLAGS are left alone', () => {
    expect(Object.keys(cudaEnvironment({}, folder, '/cache')).sort()).toEqual([
      'CUDA_CACHE_MAXSIZE',
      'CUDA_CACHE_PATH',
      'CUDA_DEVICE_ORDER',
      'CUDA_VISIBLE_DEVICES',
      'TF_FORCE_GPU_ALLOW_GROWTH',
    ]);
  });
});

describe('CUDA’s libraries', () => {
  const packageDir = fakeWheels(path.join(folder, 'libraries'));

  test('all are found below the nvidia link, and one that is gone is named with its wheel', () => {
    expect(findCudaParts(packageDir)).toMatchObject({
      missing: [],
      ptxas: expect.stringContaining('cuda_nvcc/bin/ptxas'),
    });
    rmSync(path.join(packageDir, 'nvidia/cudnn/lib/libcudnn.so.9'));
    expect(findCudaParts(packageDir).missing).toEqual([
      { file: 'libcudnn.so.9', folder: 'cudnn', wheel: 'nvidia-cudnn-cu12' },
    ]);
    expect(findCudaParts(packageDir, [path.dirname(touch(folder, 'system', 'libcudnn.so.9'))]).missing).toEqual([]);
  });

  test('cuSOLVER, which TensorFlow does not look for in its own folder, is linked where it does look', () => {
    const root = fakeWheels(path.join(folder, 'to link'));
    const library = {
      nvidia: path.join(root, 'nvidia'),
      include: path.join(root, 'include'),
      library: touch(root, 'libtensorflow_cc.so.2'),
      framework: touch(root, 'libtensorflow_framework.so.2'),
    };
    const binding = { tensorflow: touch(root, 'a.node'), quiet: touch(root, 'b.node') };
    const stamp = { wish: 'auto', tensorflow: '2.21.0', key: 'k', library: library.library } as const;
    const at = path.join(folder, 'npm package');
    linkRuntime(at, binding, library, { ...stamp, variant: 'cuda' });
    expect(existsSync(path.join(at, 'deps/lib/../tensorrt/libcusolver.so.11'))).toBe(true);
    expect(readlinkSync(path.join(at, 'nvidia'))).toBe(library.nvidia);
    linkRuntime(at, binding, { ...library, nvidia: undefined }, { ...stamp, variant: 'cpu' });
    expect([existsSync(path.join(at, 'deps/tensorrt')), existsSync(path.join(at, 'nvidia'))]).toEqual([false, false]);
  });
});

describe('a machine with a driver', () => {
  const driver = path.dirname(touch(folder, 'driver', 'libcuda.so.1'));
  /** Loads TensorFlow in a process of its own that finds an empty driver library. */
  function load(script: string, env: Record<string, string>, module = path.join(dist, 'load.js')) {
    const code = `import { spawnSync } from 'node:child_process';
      const { loadTf, device } = await import(${JSON.stringify(module)});
      try { loadTf(); ${script} } catch (error) { console.log(error.code, '|', error.message, '|', error.hint); }`;
    const { CUDA_VISIBLE_DEVICES: _, ...rest } = process.env;
    return spawnSync(process.execPath, ['--no-deprecation', '--input-type=module', '-e', code], {
      env: { ...rest, LD_LIBRARY_PATH: driver, ...env },
      encoding: 'utf8',
    });
  }

  test('but TensorFlow for the CPU says so once, has its variables set before, and hands them to its children', () => {
    const child =
      "spawnSync('sh', ['-c', 'echo $TF_FORCE_GPU_ALLOW_GROWTH $CUDA_DEVICE_ORDER $CUDA_VISIBLE_DEVICES'], { encoding: 'utf8' }).stdout";
    const { stdout, stderr } = load(`console.log(device().kind, ${child}, device().note);`, {});
    expect(stdout).toMatch(/^cpu true PCI_BUS_ID 0\n The NVIDIA driver is here, but TensorFlow for the CPU is linked/);
    expect(stderr.match(/Warning: The NVIDIA driver/g)).toHaveLength(1);
  });

  test.each(['', '-1'])(
    'whose cards are hidden by CUDA_VISIBLE_DEVICES=%j computes on the CPU and says so',
    (hidden) => {
      const { stdout } = load('console.log(device().kind, device().note);', { CUDA_VISIBLE_DEVICES: hidden });
      expect(stdout).toContain(`cpu CUDA_VISIBLE_DEVICES is '${hidden}', which hides every GPU`);
    },
  );

  test('and a wheel that lost a file stops with the library, the wheel and the command', () => {
    const copy = path.join(folder, 'engine');
    cpSync(dist, path.join(copy, 'dist'), { recursive: true });
    writeFileSync(path.join(copy, 'package.json'), '{"type":"module"}');
    const at = fakeWheels(path.join(copy, 'node_modules', '@tensorflow', 'tfjs-node-gpu'));
    writeFileSync(path.join(at, 'package.json'), '{"version":"4.22.0"}');
    for (const file of [
      'lib/napi-v8/tfjs_binding.node',
      'deps/lib/libtensorflow.so',
      'deps/lib/libtensorflow_framework.so',
    ])
      touch(at, file);
    writeFileSync(path.join(at, '.moraine-runtime.json'), '{"variant":"cuda","key":"k"}');
    rmSync(path.join(at, 'nvidia/cudnn/lib/libcudnn.so.9'));
    const { stdout } = load('', {}, path.join(copy, 'dist/load.js'));
    expect(stdout).toMatch(/^cuda_library_missing \| CUDA's libcudnn\.so\.9 \(of nvidia-cudnn-cu12\) is missing below/);
    expect(stdout).toContain('npm run setup -- --cuda --force');
    // Whoever hides the cards wants the CPU; here the next fault is the empty binding.
    expect(load('', { CUDA_VISIBLE_DEVICES: '-1' }, path.join(copy, 'dist/load.js')).stdout).toMatch(/^runtime_broken/);
  });
});

test('a slim bundle takes what it leaves out from the folders of the machine', () => {
  const packageDir = path.join(folder, 'slim package');
  for (const { folder: part, file } of cudaLibraries.slice(0, 3)) touch(packageDir, 'nvidia', part, 'lib', file);
  const names = (folders: string[], bundle?: 'slim' | 'full'): string[] =>
    missingLibraries(packageDir, folders, bundle).map(({ file }) => file);
  expect(names([], 'slim')).toEqual([...cudaStubs]);
  expect(names([])).toEqual(cudaLibraries.slice(3).map(({ file }) => file));
  const machine = path.join(folder, 'cuda of the machine');
  for (const file of cudaStubs) touch(machine, file);
  expect(names([machine], 'slim')).toEqual([]);
});

describe('doctor on a machine with a driver', () => {
  const report: NvidiaReport = {
    version: '570.124.06',
    library: '/lib/libcuda.so.1',
    management: '/lib/libnvidia-ml.so.1',
    device: 'NVIDIA A',
    cards: ['NVIDIA A'],
    visible: undefined,
    cuda: { missing: [], ptxas: '/p', libdevice: '/l' },
  };
  const said = (variant: 'cpu' | 'cuda', change: Partial<NvidiaReport>, kind: 'cpu' | 'gpu' | null): string =>
    gpuProblems({ variant }, { ...report, ...change }, kind === null ? null : { kind })
      .map(({ what, fix }) => `${what} ${fix}`)
      .join('\n');

  test('everything in place is no problem, and hidden cards are the user’s wish', () => {
    expect(said('cuda', {}, 'gpu')).toBe('');
    expect(said('cuda', { visible: '-1' }, 'cpu')).toBe('');
  });

  test('each missing part is named with its wheel and the command', () => {
    const missing = cudaLibraries.filter(({ folder: part }) => part === 'cublas');
    expect(said('cuda', { cuda: { missing, ptxas: undefined, libdevice: '/l' } }, 'cpu').split('\n')).toEqual([
      "CUDA's libcublas.so.12 was not found; the wheel nvidia-cublas-cu12 holds it. Run `npm run setup -- --cuda --force`.",
      "CUDA's libcublasLt.so.12 was not found; the wheel nvidia-cublas-cu12 holds it. Run `npm run setup -- --cuda --force`.",
      "XLA's ptxas was not found; the wheel nvidia-cuda-nvcc-cu12 holds it. Run `npm run setup -- --cuda --force`.",
    ]);
  });

  test('a slim bundle needs only what registers a card, from the machine where it has none, and no XLA', () => {
    const missing = cudaLibraries.filter(({ folder: part }) => part === 'cudnn');
    const cuda = { missing, ptxas: undefined, libdevice: undefined };
    expect(said('cuda', { cuda, bundle: 'slim' }, 'cpu')).toMatch(
      /^CUDA's libcudnn\.so\.9 was not found.*name the folders of its CUDA 12 libraries in LD_LIBRARY_PATH[^\n]*$/,
    );
    expect(said('cuda', { cuda, bundle: 'full' }, 'cpu')).toMatch(
      /holds it\. Run `sh install\.sh` of the bundle again\./,
    );
    expect(said('cpu', { cuda: null, bundle: 'full' }, 'cpu')).toContain('Bring a bundle made with --cuda.');
  });

  test('a card that is not used is reported with the reason', () => {
    expect(said('cpu', { cuda: null }, 'cpu')).toMatch(
      /driver 570\.124\.06 is here, but TensorFlow for the CPU is linked/,
    );
    expect(said('cuda', {}, 'cpu')).toMatch(/sees no GPU\. Look at the output of nvidia-smi/);
    expect(said('cuda', { library: undefined }, 'cpu')).toMatch(/--gpus all/);
    expect(said('cuda', { management: undefined }, 'cpu')).toMatch(
      /libnvidia-ml\.so\.1 was not found.*compute,utility/,
    );
  });
});
