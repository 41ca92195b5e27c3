import { AppError } from '@moraine/contract';
import { readEvents } from '@moraine/contract/events';
import type { ChatChunk } from '@moraine/contract/serving';
import { connection } from '../lib/connection.js';
import { type Answer, NO_ANSWER, withChunk } from './answer.js';
import type { AskBody } from './columns.js';

/** Asks a model and tells of its answer whenever more of it has come. @throws AppError with the server's sentence; as `fetch` does when it is aborted. */
export async function askModel(
  body: AskBody,
  signal: AbortSignal,
  onAnswer: (answer: Answer) => void,
): Promise<Answer> {
  const begun = performance.now();
  const response = await send(JSON.stringify({ ...body, ...STREAMED }), signal);
  let answer = NO_ANSWER;
  try {
    for await (const { event, data } of readEvents(response.body as ReadableStream<Uint8Array<ArrayBuffer>>)) {
      if (data === '[DONE]') return answer;
      const value = JSON.parse(data) as ChatChunk & { error?: { message?: string } };
      if (event === 'error' || value.error) throw new AppError('internal', value.error?.message ?? BROKEN);
      answer = withChunk(answer, value, performance.now() - begun);
      onAnswer(answer);
    }
  } catch (cause) {
    if (cause instanceof AppError || signal.aborted) throw cause;
    throw new AppError('unavailable', BROKEN, { hint: 'Ask again.', cause });
  }
  throw new AppError('unavailable', BROKEN, { hint: 'Ask again.' });
}

const BROKEN = 'The answer broke off before its end.';
const STREAMED = { logprobs: true, stream: true, stream_options: { include_usage: true } };

async function send(body: string, signal: AbortSignal): Promise<Response> {
  const waiting = connection.asked();
  try {
    const response = await fetch('/v1/chat/completions', {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
      body,
      signal,
    });
    waiting.end('answered');
    if (response.ok) return response;
    throw await errorOf(response);
  } catch (cause) {
    if (cause instanceof AppError || signal.aborted) {
      waiting.end('dropped');
      throw cause;
    }
    waiting.end('failed');
    throw new AppError('unavailable', 'The server does not respond.', { hint: 'Is the stack running?', cause });
  }
}

async function errorOf(response: Response): Promise<AppError> {
  const wait = response.headers.get('retry-after');
  const found = (await response.json().catch(() => null)) as { error?: { message?: string } } | null;
  const message = found?.error?.message ?? `The server answered with status ${response.status}.`;
  return new AppError(response.status === 503 ? 'unavailable' : 'invalid_value', message, {
    ...(wait === null ? {} : { hint: `Ask again in ${wait} s.` }),
  });
}
