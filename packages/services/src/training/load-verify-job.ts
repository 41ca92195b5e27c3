import type { AttemptToken, Services } from '../ground/context.js';
import { type Job, loadJob } from './load-job.js';
import { requireSpan, type Span } from './verify-span.js';

/** What a worker must have at hand to verify a run. */
export interface VerifyJob extends Job {
  span: Span;
}

/** Reads what the attempt of a verification needs. @throws AppError `not_found` or `conflict` when something of the run is gone. */
export async function loadVerifyJob(s: Services, { taskId }: AttemptToken): Promise<VerifyJob> {
  const { rows } = await s.pg.query<{ runId: string }>('SELECT run_id AS "runId" FROM verifications WHERE id = $1', [
    taskId,
  ]);
  const runId = rows[0]?.runId ?? taskId;
  const [job, span] = [await loadJob(s, runId), await requireSpan(s, runId)];
  return { ...job, checkpoints: [span.from], span };
}
