import type { RunObject } from '@moraine/contract';
import type { Services } from '../ground/context.js';
import { waitingReasons } from '../work/waiting-reason.js';
import { type RunWithParts, toRunObject } from './to-run-object.js';

/** The wire objects of runs, in their order, with the reason why each queued one waits. */
export async function toRunObjects(s: Services, runs: readonly RunWithParts[]): Promise<RunObject[]> {
  const reasons = await waitingReasons(
    s,
    runs.map(({ task, step }) => ({ ...task, reached: `step ${step}` })),
  );
  return runs.map((run) => toRunObject(run, reasons.get(run.id) ?? null));
}
