import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';
import path from 'node:path';
import { makeFolder } from '@moraine/contract/make-folder';

/** Logs larger than this are set aside once, as `<name>.1`, when their part starts. */
const LOG_BYTES_MAX = 20_000_000;

/** Writes a file that only its owner may read, whole or not at all. */
export function writePrivate(file: string, text: string): void {
  makeFolder(path.dirname(file));
  const temporary = `${file}.${process.pid}.new`;
  rmSync(temporary, { force: true });
  const fd = openSync(temporary, 'wx', 0o600);
  try {
    writeSync(fd, text);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(temporary, file);
}

/** The JSON in a file; null when there is no file or it holds no JSON. */
export function readJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return null;
  }
}

/** Opens a log for appending (0600) and says where its new part begins. */
export function openLog(file: string): { fd: number; from: number } {
  makeFolder(path.dirname(file));
  const size = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  if (size > LOG_BYTES_MAX) renameSync(file, `${file}.1`);
  return { fd: openSync(file, 'a', 0o600), from: size > LOG_BYTES_MAX ? 0 : size };
}

/** What was appended to a log since `from`. */
export const logSince = (file: string, from: number): string => readFileSync(file).subarray(from).toString('utf8');
