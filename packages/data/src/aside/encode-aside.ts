import type { EncodedAside, EncodeTask } from './protocol.js';
import { type Bounds, runAside } from './run-aside.js';

const BOUNDS: Bounds = { seconds: 60, megabytes: 4_096 };

/**
 * What a run would make of its files, found in a process of its own; of what `msMax` does not suffice for, the beginning.
 * @throws AppError as the run would before its first step; RangeError where the process takes more than the bounds.
 */
export const encodeAside = (task: Omit<EncodeTask, 'kind'>, bounds: Bounds = BOUNDS): Promise<EncodedAside[]> =>
  runAside({ kind: 'encode', ...task }, bounds);
