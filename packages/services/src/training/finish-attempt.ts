import { newId } from '@moraine/contract';
import type { AttemptToken, Services } from '../ground/context.js';
import { notify, type StatusRow, statusMessage } from '../ground/publish.js';
import { hasEnded, staleAttempt, TOKEN } from '../work/fence.js';
import { type EventRow, eventMessage } from '../work/record-event.js';

/** Where the run ended; null where that is not known, then what was measured last stands. */
export interface Finish {
  step: number | null;
  trainedTokens: number | null;
}

type FinishedRow = StatusRow & { fine_tuned_model: string | null; event: EventRow; event_created_at: Date };

/**
 * Ends the run: `succeeded` with the name of its model after `finished`, `cancelled` after `stopped` or when a cancel came first.
 * Exports and the result file are registered before. Sending it twice is safe. @throws AppError `stale_attempt`.
 */
async function end(
  s: Services,
  token: AttemptToken,
  { step, trainedTokens }: Finish,
  outcome: 'succeeded' | 'cancelled',
): Promise<void> {
  const { rows } = await s.pg.query<FinishedRow>(
    `WITH ${TOKEN}, attempt AS (
       UPDATE attempts a SET status = 'finished', finished_at = now() FROM token WHERE a.run_id = token.id AND a.attempt = $2
     ), run AS (
       UPDATE runs r SET
         status = CASE WHEN token.state = 'cancelling' THEN 'cancelled' ELSE $4 END, state = NULL, state_reason = NULL, finished_at = now(),
         step = least(coalesce($5::int, r.step), r.steps), trained_tokens = coalesce($6::bigint, r.trained_tokens), tokens_per_second = NULL,
         fine_tuned_model = CASE WHEN token.state IS DISTINCT FROM 'cancelling' AND $4 = 'succeeded'
           THEN 'ft:' || b.name || ':' || p.name || ':' || coalesce(r.suffix, '') || ':' || right(r.id, 8) END
       FROM token, bases b, projects p WHERE r.id = token.id AND b.id = r.base_id AND p.id = r.project_id
       RETURNING r.id, r.project_id, r.status, r.state, r.state_reason, r.attempt, r.fine_tuned_model
     ), event AS (
       INSERT INTO events (id, project_id, run_id, attempt, level, type, message, data)
       SELECT $7, project_id, id, attempt, 'info', 'message',
         CASE status WHEN 'succeeded' THEN 'The run succeeded; new model ' || fine_tuned_model ELSE 'The run was cancelled' END,
         jsonb_build_object('step', $5::int, 'trained_tokens', $6::bigint) FROM run
       RETURNING id, level, type, message, data, created_at
     )
     SELECT run.*, to_json(event) AS event, event.created_at AS event_created_at FROM run CROSS JOIN event`,
    [token.runId, token.attempt, token.workerId, outcome, step, trainedTokens, newId('event')],
  );
  const row = rows[0];
  if (!row) {
    if (await hasEnded(s, token, ['finished'])) return;
    throw staleAttempt(token);
  }
  const event = eventMessage({ ...row.event, created_at: row.event_created_at });
  await notify(s, token.runId, [event, statusMessage(row)], token.attempt);
}

export const finishAttempt = (s: Services, token: AttemptToken, finish: Finish): Promise<void> =>
  end(s, token, finish, 'succeeded');

/** The child stopped because the run is to be cancelled. */
export const cancelAttempt = (s: Services, token: AttemptToken, finish: Finish): Promise<void> =>
  end(s, token, finish, 'cancelled');
