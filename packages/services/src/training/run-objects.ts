import type { RunObject } from '@moraine/contract';
import type { Services } from '../ground/context.js';
import { waitingReasons } from '../work/waiting-reason.js';
import { runVerdicts } from './run-verdict.js';
import { type RunWithParts, toRunObject } from './to-run-object.js';

/** The wire objects of runs, in their order, with the reason why each queued one waits and what their losses say. */
export async function toRunObjects(s: Services, runs: readonly RunWithParts[]): Promise<RunObject[]> {
  const [reasons, verdicts] = await Promise.all([
    waitingReasons(
      s,
      runs.map(({ task, step }) => ({ ...task, reached: `step ${step}` })),
    ),
    runVerdicts(
      s,
      runs.map(({ id }) => id),
    ),
  ]);
  return runs.map((run) => toRunObject(run, reasons.get(run.id) ?? null, verdicts.get(run.id) ?? null));
}
