import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { AppError } from '@moraine/contract';
import { causesOf, codesOf } from './server-away.js';

/** A disk without room, a quota that is used up, a file larger than its system takes; 53100 is Postgres' own word for the first. */
const FULL = new Set(['ENOSPC', 'EDQUOT', 'EFBIG', '53100', 'storage_full']);
/** What else a disk does that is nobody's fault: it fails, or was mounted anew to be read only. */
const FAILING = new Set(['EIO', 'EROFS', 'ESTALE']);

const hasCode = (error: unknown, codes: ReadonlySet<string>): boolean =>
  [...causesOf(error)].some((one) => codesOf(one).some((code) => codes.has(code)));

/** True when a disk has no room for what was written; looks at the causes of an error as well. */
export const isStorageFull = (error: unknown): boolean => hasCode(error, FULL);

/** True when a disk is full or fails: no fault of what was to be stored. */
export const isDiskFault = (error: unknown): boolean => isStorageFull(error) || hasCode(error, FAILING);

/** Bytes that may still be written where `path` is or would be; null where the system does not say. */
export async function freeBytes(path: string): Promise<number | null> {
  for (let at = path; ; at = dirname(at)) {
    const found = await statfs(at).catch(() => null);
    if (found) return found.bavail * found.bsize;
    if (dirname(at) === at) return null;
  }
}

const UNITS = ['bytes', 'KB', 'MB', 'GB', 'TB'];

/** 12.3 MB; bytes as they are. */
export function describeSize(bytes: number): string {
  const unit = Math.min(UNITS.length - 1, bytes < 1_000 ? 0 : Math.floor(Math.log10(bytes) / 3));
  return `${unit === 0 ? bytes : (bytes / 1_000 ** unit).toFixed(1)} ${UNITS[unit]}`;
}

/** @param what - What did not fit, as a sentence begins: "An upload of at least 12.3 MB". */
export async function storageFull(what: string, dir: string, cause: unknown): Promise<AppError> {
  const free = await freeBytes(dir);
  const left = free === null ? '' : `; ${describeSize(free)} are free`;
  return new AppError('storage_full', `${what} does not fit on the disk of the blob storage${left}.`, {
    hint: 'Delete what is not needed, or make the disk of the server larger; then try again.',
    cause,
  });
}
