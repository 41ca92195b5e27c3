import type { RunObject } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { cancelTask } from '../work/cancel-task.js';
import { getRun } from './get-run.js';

/**
 * Ends a run. One that waits is cancelled at once; one that runs is told to stop after its step and becomes `cancelled` when its
 * worker says so (or when its lease runs out). Asking again while it is stopping changes nothing.
 * @throws AppError `conflict` for a run that has ended.
 */
export function cancelRun(s: Services, actor: Actor, runId: string): Promise<RunObject> {
  return cancelTask(s, actor, runId, 'train', () => getRun(s, actor, runId));
}
