import type { RunEstimate, RunToEstimate } from '../estimate-run.js';
import { type Bounds, runAside } from './run-aside.js';

const BOUNDS: Bounds = { seconds: 60, megabytes: 4_096 };

/**
 * `estimateRun` in a process of its own: to lay out 100,000 rows takes some seconds.
 * @throws RangeError where the process takes more than the bounds.
 */
export const estimateAside = (run: RunToEstimate, bounds: Bounds = BOUNDS): Promise<RunEstimate> =>
  runAside({ kind: 'estimate', run }, bounds);
