import { stat } from 'node:fs/promises';
import { type SplitReport, splitFile } from '../split-file.js';
import type { SplitTask } from './protocol.js';
import { type Bounds, runAside } from './run-aside.js';

/** A file of this size is divided in some milliseconds, less than a process takes to begin. */
const HERE_BYTES = 256 * 1024;

/** It is read twice. Of each row, at least 12 bytes long, 8 are kept, twice while they grow; the longest row takes 200 MB while it is read. */
const boundsOf = (bytes: number): Bounds => ({ seconds: 3_600, megabytes: 256 + Math.ceil((2 * bytes) / 2 ** 20) });

/** `splitFile` in a process of its own, where the file is not small. @throws AppError as it does; RangeError where the process takes more than the bounds. */
export async function splitAside(task: Omit<SplitTask, 'kind'>, bounds?: Bounds): Promise<SplitReport> {
  const { from, parts, rest, seed, name } = task;
  const { size } = await stat(from);
  if (size <= HERE_BYTES) return splitFile(from, parts, rest, seed, name);
  return runAside({ kind: 'split', ...task }, bounds ?? boundsOf(size));
}
