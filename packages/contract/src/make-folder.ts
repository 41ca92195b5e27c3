import { mkdirSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { AppError } from './errors.js';

/**
 * Makes a folder and those above it unless they are there; `mode` is for those that are made. Node's own recursive mkdir never returns
 * where the system says that a folder below an existing one cannot be, as in /proc. `instead` says how the caller names another.
 * @throws AppError `storage` naming the folder and why it cannot be made.
 */
export function makeFolder(dir: string, mode = 0o777, instead = 'name a folder on a disk that can be written'): void {
  const path = resolve(dir);
  if (isFolder(path)) return;
  if (dirname(path) !== path) makeFolder(dirname(path), mode, instead);
  try {
    mkdirSync(path, { mode });
  } catch (cause) {
    // Another process was first.
    if (isFolder(path)) return;
    throw new AppError('storage', `The folder ${path} cannot be made: ${whyNot(cause)}.`, {
      hint: `Move away what is in its place, or ${instead}.`,
      cause,
    });
  }
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}

function whyNot(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = 'code' in error ? error.code : undefined;
  if (code === 'EEXIST') return 'it is a file';
  return code === 'ENOENT' ? 'the folder above it takes none' : error.message;
}
