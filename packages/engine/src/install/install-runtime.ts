import { existsSync } from 'node:fs';
import path from 'node:path';
import { cacheDir, engineDir } from '../env.js';
import { readLinkStamp } from '../link-stamp.js';
import { chooseVariant, findNvidiaDriver, type Target, targetOf, thisPlatform, type Variant } from '../platform.js';
import { missingRuntimeFile, runtimePackageDir, runtimePackageVersion } from '../runtime-package.js';
import { compileBinding, nativeKey } from './compile.js';
import { findLibrary, isRuntimeFile, type Library, libraryKey } from './library.js';
import { linkRuntime } from './link.js';
import { keepWheels, type WheelLock } from './lock-file.js';
import type { OnProgress } from './progress.js';
import { readWheelLock, unpackWheels } from './unpack-wheels.js';

export interface InstallRuntimeOptions {
  /** `auto` takes CUDA when an NVIDIA driver is present. Default: what was asked for last time, at first `auto`. */
  variant?: 'auto' | Variant;
  /** Downloads and compiles again whatever is cached. */
  force?: boolean;
  /** Default: MORAINE_ENGINE_DIR. */
  engineDir?: string;
  /** Default: `$XDG_CACHE_HOME/moraine` or `~/.cache/moraine`. */
  cache?: string;
  /** Default: the installed @tensorflow/tfjs-node-gpu. */
  packageDir?: string;
  /** Only these wheels of the lock file. Default: all. */
  wheels?: readonly string[];
}

export interface RuntimeStatus {
  /** True when `loadTf` will find everything and it is what the lock file asks for. */
  isInstalled: boolean;
  variant: 'cpu' | 'cuda' | 'own';
  tensorflow: string;
  /** The library that is linked, or undefined. */
  library: string | undefined;
  /** Why it is not installed, undefined when it is. */
  reason: string | undefined;
}

/**
 * Makes TensorFlow loadable: download by pip (hash-locked), unpack, compile the binding, link. What is cached is reused: after `npm ci`
 * only the links are made, well under a second. Safe to call in two processes at once and after a kill.
 * @throws EngineError with the message and the remedy for everything that can be missing.
 */
export async function installRuntime(
  options: InstallRuntimeOptions = {},
  onProgress: OnProgress = () => {},
): Promise<RuntimeStatus> {
  const packageDir = options.packageDir ?? runtimePackageDir();
  const { target, variant, wish, lock, own } = plan(options, packageDir);
  const cache = options.cache ?? cacheDir();
  const force = options.force ?? false;
  let library: Library;
  if (own === undefined) {
    // Measured: 860 MB out of 274 MB, and with CUDA 5.6 GB out of 3.4 GB.
    const growth = variant === 'cuda' ? 1.8 : 3.4;
    const parts = { lock, target, cache, kind: 'runtime', wanted: isRuntimeFile, growth, force, onProgress };
    library = findLibrary(await unpackWheels(parts));
  } else {
    library = findLibrary(own);
  }
  const key = own === undefined ? lock.key : libraryKey(library);
  const bindingKey = `${key} ${runtimePackageVersion(packageDir)}`;
  const binding = await compileBinding({ packageDir, library, libraryKey: bindingKey, cache, force, onProgress });
  onProgress({ phase: 'link', detail: packageDir });
  const tensorflow = own === undefined ? (lock.wheels[0]?.version ?? 'unknown') : 'own';
  const stamp = {
    variant: own === undefined ? variant : 'own',
    wish,
    tensorflow,
    key,
    native: nativeKey(),
    library: library.library,
  } as const;
  linkRuntime(packageDir, binding, library, stamp);
  return { isInstalled: true, variant: stamp.variant, tensorflow, library: library.library, reason: undefined };
}

/** Whether `installRuntime` with the same options has anything to do. Reads a few files, loads nothing: about a millisecond. */
export function runtimeStatus(options: InstallRuntimeOptions = {}): RuntimeStatus {
  const packageDir = options.packageDir ?? runtimePackageDir();
  const { variant, lock, own } = plan(options, packageDir);
  const stamp = readLinkStamp(packageDir);
  const key = own === undefined ? lock.key : libraryKey(findLibrary(own));
  const wanted = own === undefined ? variant : 'own';
  const version = own === undefined ? (lock.wheels[0]?.version ?? 'unknown') : 'own';
  const missing = missingRuntimeFile(packageDir);
  let reason: string | undefined;
  if (stamp === null) reason = 'it was never linked here';
  else if (missing !== null) reason = `${missing} does not exist`;
  else if (stamp.key !== key || stamp.variant !== wanted)
    reason = `${stamp.variant} ${stamp.tensorflow} is linked, ${wanted} ${version} is wanted`;
  else if (stamp.native !== nativeKey()) reason = 'its binding was compiled from other sources';
  else if (!existsSync(path.resolve(packageDir, stamp.library))) reason = `${stamp.library} does not exist`;
  return { isInstalled: reason === undefined, variant: wanted, tensorflow: version, library: stamp?.library, reason };
}

interface Plan {
  target: Target;
  wish: 'auto' | Variant;
  variant: Variant;
  lock: WheelLock;
  own: string | undefined;
}

function plan(options: InstallRuntimeOptions, packageDir: string): Plan {
  const target = targetOf(thisPlatform());
  const wish = options.variant ?? readLinkStamp(packageDir)?.wish ?? 'auto';
  const variant = chooseVariant(target, wish, findNvidiaDriver());
  const whole = readWheelLock(`${target}-${variant}`);
  const lock = options.wheels === undefined ? whole : keepWheels(whole, options.wheels);
  return { target, wish, variant, lock, own: options.engineDir ?? engineDir() };
}
