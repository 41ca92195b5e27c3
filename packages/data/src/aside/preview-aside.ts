import type { Preview } from '../preview-file.js';
import { rowBoundsFor } from './bounds.js';
import type { PreviewTask } from './protocol.js';
import { type Bounds, runAside } from './run-aside.js';

/** Tokens of some rows, and the lengths of as many as are counted in 8 s. */
const ROWS_MB = 128;

/** `previewFile` in a process of its own. @throws AppError as it does; RangeError where the process takes more than the bounds. */
export const previewAside = (
  task: Omit<PreviewTask, 'kind'>,
  bounds: Bounds = rowBoundsFor(task.files, ROWS_MB),
): Promise<Preview> => runAside({ kind: 'preview', ...task }, bounds);
