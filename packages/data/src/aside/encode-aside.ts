import { rowBoundsFor } from './bounds.js';
import type { EncodedAside, EncodeTask } from './protocol.js';
import { type Bounds, runAside } from './run-aside.js';

/** Ids and labels of as many rows as are encoded in 8 s, some million tokens. */
const ROWS_MB = 1_024;

/**
 * What a run would make of its files, found in a process of its own; of what `msMax` does not suffice for, the beginning.
 * @throws AppError as the run would before its first step; RangeError where the process takes more than the bounds.
 */
export const encodeAside = (
  task: Omit<EncodeTask, 'kind'>,
  bounds: Bounds = rowBoundsFor(task.files, ROWS_MB),
): Promise<EncodedAside[]> => runAside({ kind: 'encode', ...task }, bounds);
