import type { Preview } from '../preview-file.js';
import type { PreviewTask } from './protocol.js';
import { type Bounds, runAside } from './run-aside.js';

const BOUNDS: Bounds = { seconds: 60, megabytes: 4_096 };

/** `previewFile` in a process of its own. @throws AppError as it does; RangeError where the process takes more than the bounds. */
export const previewAside = (task: Omit<PreviewTask, 'kind'>, bounds: Bounds = BOUNDS): Promise<Preview> =>
  runAside({ kind: 'preview', ...task }, bounds);
