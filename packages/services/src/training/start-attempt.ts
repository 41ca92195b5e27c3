import { type AttemptEvent, newId } from '@moraine/contract';
import type { AttemptToken, Services } from '../ground/context.js';
import { notify, type StatusRow, statusMessage } from '../ground/publish.js';
import { fenced, TOKEN } from '../work/fence.js';
import { type EventRow, eventMessage } from '../work/record-event.js';
import { rewindSql } from './rewind.js';

/**
 * The attempt begins at a step: what was measured past it is undone, so that each step is there once, and followers are told to read
 * again. Call it before the child starts. @throws AppError `stale_attempt`.
 */
export async function startAttempt(
  s: Services,
  token: AttemptToken,
  { startStep }: { startStep: number },
): Promise<void> {
  const row = await fenced<StatusRow>(
    s,
    token,
    `WITH ${TOKEN}, ${rewindSql('$4::int')}, checkpoints_gone AS (
       UPDATE checkpoints c SET deleted_at = now() FROM token WHERE c.run_id = token.id AND c.step > $4::int AND c.deleted_at IS NULL
     ), attempt AS (
       UPDATE attempts a SET status = 'provisioning', start_step = $4::int FROM token WHERE a.run_id = token.id AND a.attempt = $2
     ), run AS (
       UPDATE runs r SET step = least($4::int, r.steps) FROM token WHERE r.id = token.id
       RETURNING r.status, r.state, r.state_reason, r.attempt
     )
     SELECT status, state, state_reason, attempt FROM run`,
    [startStep],
  );
  await notify(
    s,
    token.runId,
    [{ event: 'reset', data: { step: startStep, attempt: token.attempt } }, statusMessage(row)],
    token.attempt,
  );
}

type Ready = Extract<AttemptEvent, { type: 'ready' }>;

/** The child has its data and its device and takes the first step now. @throws AppError `stale_attempt`. */
export async function markRunning(
  s: Services,
  token: AttemptToken,
  ready: Ready,
  eventId: string = newId('event'),
): Promise<void> {
  const where = `${ready.device.name} (TensorFlow ${ready.device.tensorflow}, ${ready.device.threads} threads)`;
  const message =
    ready.startStep > 0
      ? `Training goes on at step ${ready.startStep} of ${ready.steps} on ${where}`
      : `Training starts: ${ready.steps} steps over ${ready.rows} rows, ${ready.trainableParameters} of ${ready.totalParameters} parameters, on ${where}`;
  const { type: _type, ...data } = ready;
  const row = await fenced<StatusRow & { event: EventRow | null; event_created_at: Date }>(
    s,
    token,
    `WITH ${TOKEN}, attempt AS (
       UPDATE attempts a SET status = 'running', progress_at = now() FROM token WHERE a.run_id = token.id AND a.attempt = $2
     ), run AS (
       UPDATE runs r SET trained_tokens = $4,
         state = CASE WHEN r.state = 'cancelling' THEN r.state END,
         state_reason = CASE WHEN r.state = 'cancelling' THEN r.state_reason END
       FROM token WHERE r.id = token.id RETURNING r.status, r.state, r.state_reason, r.attempt
     ), event AS (
       INSERT INTO events (id, project_id, run_id, attempt, level, type, message, data)
       SELECT $5, token.project_id, token.id, $2, 'info', 'message', $6, $7 FROM token
       ON CONFLICT (id) DO NOTHING RETURNING id, level, type, message, data, created_at
     )
     SELECT run.*, to_json(event) AS event, event.created_at AS event_created_at FROM run LEFT JOIN event ON true`,
    [ready.trainedTokens, eventId, message, JSON.stringify(data)],
  );
  const events = row.event ? [eventMessage({ ...row.event, created_at: row.event_created_at })] : [];
  await notify(s, token.runId, [statusMessage(row), ...events], token.attempt);
}
