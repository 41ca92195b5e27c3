import type pg from 'pg';
import type { AttemptToken, Services } from '../ground/context.js';
import { fineTunedModelName } from '../library/fine-tuned-model-name.js';
import { staleAttempt } from '../work/fence.js';
import { type FinishPart, finishTask } from '../work/finish-task.js';
import { queueVerification } from './queue-verification.js';
import { settleVerdict } from './run-verdict.js';

/** Where the run ended; null where that is not known, then what was measured last stands. */
export interface Finish {
  step: number | null;
  trainedTokens: number | null;
}

/** How a run succeeded. */
export interface Success extends Finish {
  /** The step whose weights the exports are of; default the last. */
  resultStep?: number;
  /** Why it ended before its last step; null where it did not. */
  stoppedEarly?: string | null;
}

/**
 * Ends the run `succeeded` with the name of its model, or `cancelled` when that was asked for. Exports and the result file are registered
 * before. Sending it twice is safe. @throws AppError `stale_attempt`.
 */
export const finishAttempt = (s: Services, token: AttemptToken, finish: Success): Promise<void> =>
  finishTask(
    s,
    token,
    'succeeded',
    finishRun(token, finish),
    finish.stoppedEarly ? { code: 'stopped_early', message: finish.stoppedEarly } : undefined,
  );

/** The child stopped because the run is to be cancelled. */
export const cancelAttempt = (s: Services, token: AttemptToken, finish: Finish): Promise<void> =>
  finishTask(s, token, 'cancelled', finishRun(token, finish));

/** The run's own part: where it ended, what its losses say, and its model if it succeeded. */
const finishRun =
  (token: AttemptToken, { step, trainedTokens, resultStep = step ?? undefined }: Success): FinishPart =>
  async (client, outcome) => {
    const model = outcome === 'succeeded' ? await nameModel(client, token) : null;
    await client.query(
      `UPDATE runs SET step = least(coalesce($2, step), steps), trained_tokens = coalesce($3, trained_tokens), tokens_per_second = NULL,
         fine_tuned_model = $4, result_step = $5 WHERE id = $1`,
      [token.taskId, step, trainedTokens, model, model === null ? null : (resultStep ?? null)],
    );
    await settleVerdict(client, token.taskId);
    if (outcome === 'succeeded') await verifyIfAsked(client, token);
    return {
      level: 'info',
      message: model ? `The run succeeded; new model ${model}` : 'The run was cancelled',
      data: { step, trained_tokens: trainedTokens },
    };
  };

/**
 * A run that was to check its resume and ended right after it had gone on from its last checkpoint had nothing to compare: it is verified by
 * a task, which the reconciler offers.
 */
async function verifyIfAsked(client: pg.PoolClient, { taskId }: AttemptToken): Promise<void> {
  const { rowCount } = await client.query(
    `SELECT 1 FROM runs WHERE id = $1 AND (config ->> 'verify_resume')::boolean AND resume_check IS NULL`,
    [taskId],
  );
  if (rowCount) await queueVerification(client, taskId);
}

async function nameModel(client: pg.PoolClient, token: AttemptToken): Promise<string> {
  const { rows } = await client.query<{ suffix: string | null; baseName: string; projectName: string }>(
    `SELECT r.suffix, b.name AS "baseName", p.name AS "projectName"
     FROM runs r JOIN bases b ON b.id = r.base_id JOIN projects p ON p.id = r.project_id WHERE r.id = $1`,
    [token.taskId],
  );
  const row = rows[0];
  if (!row) throw staleAttempt(token);
  return fineTunedModelName({ runId: token.taskId, ...row });
}
