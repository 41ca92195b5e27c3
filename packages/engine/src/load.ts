import { createRequire } from 'node:module';
import { availableParallelism, cpus } from 'node:os';
import path from 'node:path';
import type * as TfNode from '@tensorflow/tfjs-node-gpu';
import { type CudaLibrary, cudaEnvironment, missingLibraries, slimHint, visibleCards } from './cuda.js';
import {
  cacheDir,
  currentEnv,
  defaultNativeEnv,
  intraOpThreads,
  libraryPath,
  logLevel,
  setNativeEnv,
  visibleDevices,
} from './env.js';
import { EngineError } from './error.js';
import { readLinkStamp, repairHint } from './link-stamp.js';
import { nvidiaName } from './nvidia-cards.js';
import { findNvidiaDriver, missingDriverPart, type NvidiaDriver } from './platform.js';
import { bfloat16Instructions } from './processor.js';
import { missingRuntimeFile, quietFile, runtimePackageDir } from './runtime-package.js';

/** The whole tfjs API with the native node backend registered. */
export type Tf = typeof TfNode;

export interface Device {
  kind: 'cpu' | 'gpu';
  /** What the machine calls it, for example `NVIDIA H100 80GB HBM3` or the CPU's model name. */
  name: string;
  /** Version of the TensorFlow C library that is loaded, for example `2.21.0`. */
  tensorflow: string;
  /** Instruction set by which the processor multiplies bfloat16, for example `avx512_bf16`; null: none, or a GPU, where it is not looked at. */
  bfloat16: string | null;
  /** Threads that one TensorFlow operation may use. */
  threads: number;
  /** Why the CPU computes although there is an NVIDIA driver; undefined where there is nothing to say. */
  note?: string;
}

let loaded: Tf | undefined;
let cpuNote: string | undefined;

/**
 * Loads TensorFlow into this process, once, and returns tfjs on its native backend. Synchronous, about 0.5 s the first time.
 * Its own log is off unless `TF_CPP_MIN_LOG_LEVEL` asks for one. Where an NVIDIA driver is, the variables that CUDA and TensorFlow read are
 * set first (see cuda.ts), and a process that computes on the CPU all the same says why, once.
 * @throws EngineError `runtime_missing` when the native parts are not installed, `runtime_broken` when they do not load,
 * `cuda_library_missing` naming the library and its wheel.
 */
export function loadTf(): Tf {
  if (loaded !== undefined) return loaded;
  const packageDir = runtimePackageDir();
  const missing = missingRuntimeFile(packageDir);
  if (missing !== null) {
    throw new EngineError(
      'runtime_missing',
      `The TensorFlow runtime is not installed: ${missing} does not exist.`,
      repairHint(
        packageDir,
        'Run `npm start` (or `npm run setup`) in the repository; `npx moraine doctor` says what is missing.',
      ),
    );
  }
  const require = createRequire(import.meta.url);
  restoreRemovedUtil(require);
  const driver = findNvidiaDriver();
  if (driver !== null) prepareGpu(packageDir);
  // Errors about a GPU are worth reading where there is one; elsewhere they only say that there is none.
  defaultNativeEnv('TF_CPP_MIN_LOG_LEVEL', driver === null ? '3' : '2');
  const unmute = logLevel() >= 2 ? muteStderr(require, path.join(packageDir, quietFile)) : () => {};
  let tf: Tf;
  try {
    tf = require('@tensorflow/tfjs-node-gpu') as Tf;
  } catch (cause) {
    throw new EngineError(
      'runtime_broken',
      `TensorFlow is installed but does not load: ${cause instanceof Error ? cause.message : String(cause)}`,
      repairHint(
        packageDir,
        'Run `npm run setup -- --force` to fetch and compile it again; `npx moraine doctor` shows the details.',
      ),
      { cause },
    );
  } finally {
    unmute();
  }
  if (nativeBackend(tf).binding.loadAhead === undefined) {
    throw new EngineError(
      'runtime_broken',
      "TensorFlow's binding was compiled without this version's own part (packages/engine/native).",
      repairHint(packageDir, 'Run `npm run setup`, which compiles it again.'),
    );
  }
  loaded = tf;
  if (driver !== null && !nativeBackend(loaded).isUsingGpuDevice) {
    cpuNote = whyCpu(packageDir, driver);
    process.emitWarning(cpuNote);
  }
  return loaded;
}

/** Everything that must be so before the library is loaded: it reads its variables once, and opens CUDA's libraries at once. */
function prepareGpu(packageDir: string): void {
  setNativeEnv(cudaEnvironment(currentEnv(), packageDir, cacheDir()));
  const stamp = readLinkStamp(packageDir);
  if (stamp?.variant !== 'cuda' || visibleCards(visibleDevices()) === 'none') return;
  const missing = missingLibraries(packageDir, libraryPath(), stamp.bundle);
  if (missing.length > 0) throw libraryMissing(packageDir, missing);
}

function libraryMissing(packageDir: string, missing: readonly CudaLibrary[]): EngineError {
  const cpu = 'To compute on the CPU instead set CUDA_VISIBLE_DEVICES=-1.';
  const files = missing.map(({ file, wheel }) => `${file} (of ${wheel})`).join(', ');
  return new EngineError(
    'cuda_library_missing',
    `CUDA's ${files} ${missing.length === 1 ? 'is' : 'are'} missing below ${path.join(packageDir, 'nvidia')}.`,
    readLinkStamp(packageDir)?.bundle === 'slim'
      ? `${slimHint} ${cpu}`
      : `${repairHint(packageDir, 'Run `npm run setup -- --cuda --force` to fetch the wheels again.')} ${cpu}`,
  );
}

function whyCpu(packageDir: string, installed: NvidiaDriver): string {
  const setting = visibleDevices();
  if (visibleCards(setting) === 'none')
    return `CUDA_VISIBLE_DEVICES is '${setting}', which hides every GPU: the CPU computes.`;
  const driver = `The NVIDIA driver${installed.version === undefined ? '' : ` ${installed.version}`}`;
  if (readLinkStamp(packageDir)?.variant === 'cpu') {
    return `${driver} is here, but TensorFlow for the CPU is linked: the CPU computes. Run \`npm run setup -- --cuda\`.`;
  }
  const part = missingDriverPart(installed) ?? '`npx moraine doctor` says more.';
  return `${driver} is here, but TensorFlow registered no GPU: the CPU computes. ${part}`;
}

/** Two lines come from the library's static initialisers, whatever its log level. Returns the function that ends the silence. */
function muteStderr(require: NodeJS.Require, file: string): () => void {
  try {
    const quiet = require(file) as { mute(): void; unmute(): void };
    quiet.mute();
    return quiet.unmute;
  } catch {
    return () => {}; // Linked by hand, without this file: two lines more on the terminal.
  }
}

/** tfjs-node calls two functions of `node:util` that Node 23 removed. They must be back before it is required. */
function restoreRemovedUtil(require: NodeJS.Require): void {
  const util: Record<string, unknown> = require('node:util');
  util.isNullOrUndefined ??= (x: unknown) => x === null || x === undefined;
  util.isArray ??= Array.isArray;
}

/** The part of tfjs-node's backend that describes the library underneath. */
interface NativeBackend {
  isUsingGpuDevice: boolean;
  binding: { TF_Version: string; loadAhead?: unknown };
}

const nativeBackend = (tf: Tf): NativeBackend => tf.engine().findBackend('tensorflow') as unknown as NativeBackend;

/** Whether operations run on a GPU. Loads TensorFlow when that has not happened. */
export const isOnGpu = (): boolean => nativeBackend(loadTf()).isUsingGpuDevice;

/** The device that this process computes on. Loads TensorFlow when that has not happened. */
export function device(): Device {
  const { isUsingGpuDevice, binding } = nativeBackend(loadTf());
  const processor = cpus()[0]?.model.trim() ?? 'unknown processor';
  return {
    kind: isUsingGpuDevice ? 'gpu' : 'cpu',
    name: isUsingGpuDevice ? (nvidiaName() ?? 'NVIDIA GPU') : processor,
    tensorflow: binding.TF_Version,
    bfloat16: isUsingGpuDevice ? null : bfloat16Instructions(),
    threads: intraOpThreads() ?? availableParallelism(),
    ...(cpuNote === undefined ? {} : { note: cpuNote }),
  };
}
