import { setTimeout as sleep } from 'node:timers/promises';
import { AppError, ERROR_CODES, EvaluationMessage } from '@moraine/contract';
import { type Client, readEvents } from '@moraine/contract/client';

const RETRY_MS = 500;

/**
 * The live messages of an evaluation, each once, until `signal` ends them. A stream that breaks goes on where it was; an API that is away for a while is waited for.
 * @throws AppError for what does not pass by itself, `not_found`.
 */
export async function* followEvaluation(
  client: Client,
  id: string,
  include: 'items' | undefined,
  signal: AbortSignal,
): AsyncGenerator<EvaluationMessage> {
  let had = 0;
  while (!signal.aborted) {
    try {
      const query = { include, last_event_id: had };
      const { body } = await client.call('streamEvaluation', { params: { id }, query, signal });
      if (body !== null)
        for await (const { id: place, event, data } of readEvents(body)) {
          had = Number(place ?? had);
          const message = EvaluationMessage.safeParse({ event, data: JSON.parse(data) });
          if (message.success) yield message.data;
        }
    } catch (error) {
      if (error instanceof AppError && !ERROR_CODES[error.code].retryable) throw error;
    }
    await sleep(RETRY_MS, undefined, { signal }).catch(() => undefined);
  }
}
