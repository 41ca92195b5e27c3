import { stat } from 'node:fs/promises';
import { validateEvals } from '../validate-evals.js';
import { type FileReport, PROBLEMS_MAX, validateFile } from '../validate-file.js';
import { type Bounds, runAside } from './run-aside.js';

/** A file of this size is read in some milliseconds, less than a process takes to begin. */
const HERE_BYTES = 256 * 1024;

/** Half a gigabyte takes a minute or two. What is kept of each row is its hash; the longest row takes 200 MB while it is read. */
const boundsOf = (bytes: number): Bounds => ({ seconds: 1_800, megabytes: 256 + Math.ceil((2 * bytes) / 2 ** 20) });

/** Rows of a suite are read whole: of each byte, its text and what it is parsed to. */
const evalsBoundsOf = (bytes: number): Bounds => ({
  seconds: 1_800,
  megabytes: 256 + Math.ceil((12 * bytes) / 2 ** 20),
});

/** `validateFile` in a process of its own, where the file is not small. @throws RangeError where the process takes more than the bounds. */
export async function validateAside(path: string, problemsMax = PROBLEMS_MAX, bounds?: Bounds): Promise<FileReport> {
  const { size } = await stat(path);
  if (size <= HERE_BYTES) return validateFile(path, problemsMax);
  return runAside({ kind: 'validate', path, problemsMax }, bounds ?? boundsOf(size));
}

/** `validateEvals` in the same way. @throws RangeError as `validateAside`. */
export async function validateEvalsAside(path: string, problemsMax = PROBLEMS_MAX): Promise<FileReport> {
  const { size } = await stat(path);
  if (size <= HERE_BYTES) return validateEvals(path, problemsMax);
  return runAside({ kind: 'validate_evals', path, problemsMax }, evalsBoundsOf(size));
}
