import type pg from 'pg';
import type { AttemptToken, Services } from '../ground/context.js';
import { notify, statusMessage } from '../ground/publish.js';
import { inTransaction } from '../ground/transaction.js';
import { fineTunedModelName } from '../library/fine-tuned-model-name.js';
import { hasEnded, staleAttempt, TOKEN, tokenValues } from '../work/fence.js';
import { moveRun } from '../work/move-run.js';
import { addEvent, eventMessage } from '../work/record-event.js';

/** Where the run ended; null where that is not known, then what was measured last stands. */
export interface Finish {
  step: number | null;
  trainedTokens: number | null;
}

interface LockedRow {
  state: string | null;
  step: number;
  steps: number;
  trained_tokens: string;
  suffix: string | null;
  base_name: string;
  project_name: string;
}

/**
 * Ends the run: `succeeded` with the name of its model after `finished`, `cancelled` after `stopped` or when a cancel came first.
 * Exports and the result file are registered before. Sending it twice is safe. @throws AppError `stale_attempt`.
 */
async function end(s: Services, token: AttemptToken, finish: Finish, wanted: 'succeeded' | 'cancelled'): Promise<void> {
  const ended = await inTransaction(s, async (client) => {
    const locked = await lockRun(client, token);
    if (!locked) return null;
    const outcome = locked.state === 'cancelling' ? 'cancelled' : wanted;
    const model = outcome === 'succeeded' ? nameOf(token.runId, locked) : null;
    await client.query(
      `UPDATE attempts SET status = 'finished', finished_at = now() WHERE run_id = $1 AND attempt = $2`,
      [token.runId, token.attempt],
    );
    const run = await moveRun(client, token.runId, outcome, {
      step: Math.min(finish.step ?? locked.step, locked.steps),
      trained_tokens: finish.trainedTokens ?? locked.trained_tokens,
      fine_tuned_model: model,
    });
    if (!run) throw staleAttempt(token);
    const event = await addEvent(client, run.project_id, token, {
      level: 'info',
      message: model ? `The run succeeded; new model ${model}` : 'The run was cancelled',
      data: { step: finish.step, trained_tokens: finish.trainedTokens },
    });
    return { run, event };
  });
  if (ended) return notify(s, token.runId, [eventMessage(ended.event), statusMessage(ended.run)], token.attempt);
  if (!(await hasEnded(s, token, ['finished']))) throw staleAttempt(token);
}

/** The run under its lock: first the lock, then what is read, so that nothing read is older than the lock. */
async function lockRun(client: pg.PoolClient, token: AttemptToken): Promise<LockedRow | undefined> {
  const held = await client.query(`WITH ${TOKEN} SELECT id FROM token`, tokenValues(token));
  if (held.rowCount === 0) return undefined;
  const { rows } = await client.query<LockedRow>(
    `SELECT r.state, r.step, r.steps, r.trained_tokens, r.suffix, b.name AS base_name, p.name AS project_name
     FROM runs r JOIN bases b ON b.id = r.base_id JOIN projects p ON p.id = r.project_id WHERE r.id = $1`,
    [token.runId],
  );
  return rows[0];
}

const nameOf = (runId: string, row: LockedRow): string =>
  fineTunedModelName({ runId, baseName: row.base_name, projectName: row.project_name, suffix: row.suffix });

export const finishAttempt = (s: Services, token: AttemptToken, finish: Finish): Promise<void> =>
  end(s, token, finish, 'succeeded');

/** The child stopped because the run is to be cancelled. */
export const cancelAttempt = (s: Services, token: AttemptToken, finish: Finish): Promise<void> =>
  end(s, token, finish, 'cancelled');
