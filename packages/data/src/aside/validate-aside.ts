import { stat } from 'node:fs/promises';
import { type FileReport, PROBLEMS_MAX, validateFile } from '../validate-file.js';
import { type Bounds, runAside } from './run-aside.js';

/** A file of this size is read in some milliseconds, less than a thread takes to begin. */
const HERE_BYTES = 256 * 1024;

/** Half a gigabyte takes a minute or two. */
const BOUNDS: Bounds = { seconds: 1_800, megabytes: 4_096 };

/** `validateFile` in a thread of its own, where the file is not small. @throws RangeError where the thread takes more than the bounds. */
export async function validateAside(
  path: string,
  problemsMax = PROBLEMS_MAX,
  bounds: Bounds = BOUNDS,
): Promise<FileReport> {
  if ((await stat(path)).size <= HERE_BYTES) return validateFile(path, problemsMax);
  return runAside({ kind: 'validate', path, problemsMax }, bounds);
}
