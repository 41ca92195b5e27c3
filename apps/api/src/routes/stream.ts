import { setTimeout as sleep } from 'node:timers/promises';
import type { SSEMessage } from '@fastify/sse';
import { AppError } from '@moraine/contract';
import { followEvaluation, followRuns, getEvaluation, type RunEntry, requireRuns } from '@moraine/services';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Handler } from './bind.js';

const RETRY_MS = 2_000;
/** Readers whose server ends connect again within this time, not all at once. */
const MOVE_MS = 1_000;
/** A reader that takes nothing does not hear it, and connects again when it sees the end. */
const LAST_WORD_MS = 100;
const RUNS_MAX = 100;

/** A place in a stream; null stands for its beginning. */
function positionOf(id: unknown, param: string): string | null {
  if (id === undefined || id === '') return null;
  if (typeof id === 'string' && /^\d{1,20}-\d{1,20}$/.test(id)) return id;
  throw new AppError('invalid_value', `${param} is '${String(id)}', which is no id of this stream.`, {
    param,
    hint: 'Send the id of the last message you got, or none.',
  });
}

/** Where the caller was: the header that EventSource sends by itself, or the query of a first connection that knows its place. */
const lastEventId = ({ headers }: FastifyRequest, inQuery: string | undefined): string | null =>
  positionOf(headers['last-event-id'] ?? inQuery, 'last_event_id');

/** `<run>` and `<run>@<id>` of a query, comma-separated, as runs and their positions. */
function positionsOf(text: string): Map<string, string | null> {
  const positions = new Map<string, string | null>();
  for (const item of text.split(',').filter(Boolean)) {
    const [runId = '', id] = item.split('@');
    positions.set(runId, positionOf(id, 'runs'));
  }
  if (positions.size >= 1 && positions.size <= RUNS_MAX) return positions;
  throw new AppError('invalid_value', `'runs' names ${positions.size} runs; one stream follows 1 to ${RUNS_MAX}.`, {
    param: 'runs',
    hint: 'Name the runs by their ids, separated by commas.',
  });
}

/** Messages as @fastify/sse frames them. */
async function* framed(
  entries: AsyncIterable<RunEntry>,
  idOf: (entry: RunEntry) => string,
): AsyncGenerator<SSEMessage> {
  for await (const entry of entries) yield { id: idOf(entry), event: entry.message.event, data: entry.message.data };
}

/** Sends messages until the reader is gone; comments in between keep proxies awake. */
async function follow(
  reply: FastifyReply,
  messagesUntil: (signal: AbortSignal) => AsyncGenerator<SSEMessage>,
): Promise<undefined> {
  const { draining } = reply.server;
  const gone = new AbortController();
  const closed = new Promise<void>((resolve) => {
    reply.sse.onClose(() => {
      gone.abort();
      resolve();
    });
    draining.addEventListener('abort', () => resolve(), { signal: gone.signal });
    if (draining.aborted) resolve();
  });
  await reply.sse.send({ retry: RETRY_MS, data: undefined });
  const messages = messagesUntil(gone.signal);
  try {
    // A write that waits for a slow client never ends once that client is gone, so its departure ends the wait; so does ours.
    await Promise.race([reply.sse.send(messages), closed]);
  } finally {
    gone.abort();
    await messages.return(undefined);
  }
  // This server ends: the reader goes on from its last message at another one.
  if (draining.aborted && reply.sse.isConnected)
    await Promise.race([
      reply.sse.send({ retry: Math.ceil(MOVE_MS * Math.random()), data: undefined }),
      sleep(LAST_WORD_MS),
    ]);
}

/** Live messages of one run as server-sent events: `id` is the place to resume at. */
export const streamRun: Handler<'streamRun'> = async ({ s, actor, params, query, request, reply }) => {
  const from = lastEventId(request, query.last_event_id);
  await requireRuns(s, actor, [params.id]);
  return follow(reply, (signal) => framed(followRuns(s, new Map([[params.id, from]]), signal), ({ id }) => id));
};

/** The same for several runs over one connection: a browser opens six to a server at most. */
export const streamRuns: Handler<'streamRuns'> = async ({ s, actor, query, reply }) => {
  const positions = positionsOf(query.runs);
  await requireRuns(s, actor, [...positions.keys()]);
  return follow(reply, (signal) => framed(followRuns(s, positions, signal), ({ runId, id }) => `${runId}@${id}`));
};

/** An evaluation and its items as they are scored: `id` is how many items the reader has. */
export const streamEvaluation: Handler<'streamEvaluation'> = async ({ s, actor, params, query, request, reply }) => {
  const from = itemsHad(request.headers['last-event-id']) ?? query.last_event_id ?? 0;
  await getEvaluation(s, actor, params.id);
  return follow(reply, async function* (signal) {
    for await (const { items, message } of followEvaluation(s, actor, params.id, { from, ...includeOf(query) }, signal))
      yield { id: String(items), ...message };
  });
};

const includeOf = ({ include }: { include?: 'items' | 'samples' | undefined }) =>
  include === undefined ? {} : { include };

function itemsHad(id: unknown): number | null {
  if (id === undefined || id === '') return null;
  if (typeof id === 'string' && /^\d{1,9}$/.test(id)) return Number(id);
  throw new AppError('invalid_value', `last_event_id is '${String(id)}', which is no number of items.`, {
    param: 'last_event_id',
    hint: 'Send the id of the last message you got, or none.',
  });
}
