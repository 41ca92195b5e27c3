import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';
import path from 'node:path';
import { makeFolder } from '@moraine/contract/make-folder';
import { logLimits } from '../env.js';
import { setAside } from './log-rotation.js';

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
  setAside(file, logLimits());
  const from = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  return { fd: openSync(file, 'a', 0o600), from };
}

/** What was appended to a log since `from`. */
export const logSince = (file: string, from: number): string => readFileSync(file).subarray(from).toString('utf8');
