import type { SSEMessage } from '@fastify/sse';
import { AppError } from '@moraine/contract';
import { followRun, getRun, type StreamEntry } from '@moraine/services';
import type { FastifyRequest } from 'fastify';
import type { Handler } from './bind.js';

const RETRY_MS = 2_000;

/** Where the caller was: the header that EventSource sends by itself, or the query of a first connection that knows its place. */
function lastEventId({ headers, query }: FastifyRequest): string | null {
  const id = headers['last-event-id'] ?? (query as Record<string, unknown>).last_event_id;
  if (id === undefined || id === '') return null;
  if (typeof id === 'string' && /^\d{1,20}-\d{1,20}$/.test(id)) return id;
  throw new AppError('invalid_value', `Last-Event-ID is '${String(id)}', which is no id of this stream.`, {
    param: 'last_event_id',
    hint: 'Send the id of the last message you got, or none.',
  });
}

/** Messages as @fastify/sse frames them. */
async function* framed(entries: AsyncIterable<StreamEntry>): AsyncGenerator<SSEMessage> {
  for await (const { id, message } of entries) yield { id, event: message.event, data: message.data };
}

/** Live messages of a run as server-sent events: `id` is the place to resume at, comments every 15 s keep proxies awake. */
export const streamRun: Handler<'streamRun'> = async ({ s, actor, params, request, reply }) => {
  const from = lastEventId(request);
  const run = await getRun(s, actor, params.id);
  const gone = new AbortController();
  const closed = new Promise<void>((resolve) => {
    reply.sse.onClose(() => {
      gone.abort();
      resolve();
    });
  });
  await reply.sse.send({ retry: RETRY_MS, data: undefined });
  const messages = framed(followRun(s, run.id, from, gone.signal));
  try {
    // A write that waits for a slow client never ends once that client is gone, so its departure ends the wait.
    await Promise.race([reply.sse.send(messages), closed]);
  } finally {
    gone.abort();
    await messages.return(undefined);
  }
  return undefined;
};
