import { type AttemptEvent, newId } from '@moraine/contract';
import type { AttemptToken, Services } from '../ground/context.js';
import { TOKEN, tokenValues } from '../work/fence.js';
import { markTaskRunning, startTask } from '../work/start-task.js';
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
  const reset = { event: 'reset', data: { step: startStep, attempt: token.attempt } } as const;
  await startTask(s, token, { startStep, messages: [reset] }, async (client) => {
    await client.query(
      `WITH ${TOKEN}, ${rewindSql('$4::int')}, checkpoints_gone AS (
         UPDATE checkpoints c SET deleted_at = now() FROM token WHERE c.run_id = token.id AND c.step > $4::int AND c.deleted_at IS NULL
       )
       UPDATE runs r SET step = least($4::int, r.steps) FROM token WHERE r.id = token.id`,
      [...tokenValues(token), startStep],
    );
  });
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
  const { type: _type, config, ...data } = ready;
  await markTaskRunning(s, token, { id: eventId, level: 'info', message, data }, async (client) => {
    // Which rows are trained on is known now, and with it how many steps the run has.
    const sql = 'UPDATE runs SET trained_tokens = $2, steps = $3, config = $4 WHERE id = $1';
    await client.query(sql, [token.taskId, ready.trainedTokens, ready.steps, JSON.stringify(config)]);
  });
}
