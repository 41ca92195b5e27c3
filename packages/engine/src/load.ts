import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism, cpus } from 'node:os';
import path from 'node:path';
import type * as TfNode from '@tensorflow/tfjs-node-gpu';
import { defaultNativeEnv, intraOpThreads } from './env.js';
import { EngineError } from './error.js';
import { findNvidiaDriver } from './install/platform.js';
import { missingRuntimeFile, quietFile, runtimePackageDir } from './runtime-package.js';

/** The whole tfjs API with the native node backend registered. */
export type Tf = typeof TfNode;

export interface Device {
  kind: 'cpu' | 'gpu';
  /** What the machine calls it, for example `NVIDIA H100 80GB HBM3` or the CPU's model name. */
  name: string;
  /** Version of the TensorFlow C library that is loaded, for example `2.21.0`. */
  tensorflow: string;
  /** Threads that one TensorFlow operation may use. */
  threads: number;
}

let loaded: Tf | undefined;

/**
 * Loads TensorFlow into this process, once, and returns tfjs on its native backend. Synchronous, about 0.5 s the first time.
 * Its own log is off unless `TF_CPP_MIN_LOG_LEVEL` is set.
 * @throws EngineError `runtime_missing` when the native parts are not installed, `runtime_broken` when they do not load.
 */
export function loadTf(): Tf {
  if (loaded !== undefined) return loaded;
  const packageDir = runtimePackageDir();
  const missing = missingRuntimeFile(packageDir);
  if (missing !== null) {
    throw new EngineError(
      'runtime_missing',
      `The TensorFlow runtime is not installed: ${missing} does not exist.`,
      'Run `npm start` (or `npm run setup`) in the repository; `npx moraine doctor` tells what is missing.',
    );
  }
  const require = createRequire(import.meta.url);
  restoreRemovedUtil(require);
  // Errors about a GPU are worth reading where there is one; elsewhere they only say that there is none.
  const isQuiet = defaultNativeEnv('TF_CPP_MIN_LOG_LEVEL', findNvidiaDriver() === null ? '3' : '2');
  const unmute = isQuiet ? muteStderr(require, path.join(packageDir, quietFile)) : () => {};
  try {
    loaded = require('@tensorflow/tfjs-node-gpu') as Tf;
  } catch (cause) {
    throw new EngineError(
      'runtime_broken',
      `TensorFlow is installed but does not load: ${cause instanceof Error ? cause.message : String(cause)}`,
      'Run `npm run setup -- --force` to fetch and compile it again; `npx moraine doctor` shows the details.',
      { cause },
    );
  } finally {
    unmute();
  }
  return loaded;
}

/** Two lines come from the library's static initialisers, whatever its log level. Returns the function that ends the silence. */
function muteStderr(require: NodeJS.Require, file: string): () => void {
  try {
    const quiet = require(file) as { mute(): void; unmute(): void };
    quiet.mute();
    return quiet.unmute;
  } catch {
    return () => {}; // Linked by hand, without our part: two lines more on the terminal.
  }
}

/** tfjs-node calls two functions of `node:util` that Node 23 removed. They must be back before it is required. */
function restoreRemovedUtil(require: NodeJS.Require): void {
  const util: Record<string, unknown> = require('node:util');
  util.isNullOrUndefined ??= (x: unknown) => x === null || x === undefined;
  util.isArray ??= Array.isArray;
}

/** The part of tfjs-node's backend that tells about the library underneath. */
interface NativeBackend {
  isUsingGpuDevice: boolean;
  binding: { TF_Version: string };
}

/** The device that this process computes on. Loads TensorFlow when that has not happened. */
export function device(): Device {
  const tf = loadTf();
  const backend = tf.engine().findBackend('tensorflow') as unknown as NativeBackend;
  const kind = backend.isUsingGpuDevice ? 'gpu' : 'cpu';
  return {
    kind,
    name: (kind === 'gpu' ? nvidiaName() : undefined) ?? cpus()[0]?.model.trim() ?? 'unknown processor',
    tensorflow: backend.binding.TF_Version,
    threads: intraOpThreads() ?? availableParallelism(),
  };
}

/** Name of the first NVIDIA device, from the driver's own text file, or undefined where there is none. */
export function nvidiaName(root = '/proc/driver/nvidia/gpus'): string | undefined {
  try {
    for (const slot of readdirSync(root).sort()) {
      const model = /^Model:\s*(.+)$/m.exec(readFileSync(path.join(root, slot, 'information'), 'utf8'))?.[1];
      if (model !== undefined) return model.trim();
    }
  } catch {
    // No such folder: no NVIDIA driver.
  }
  return undefined;
}
