import type { FastifyReply } from 'fastify';

/** Aborts when the caller of a request has gone, or has its answer. */
export function goneOf({ raw }: FastifyReply): AbortSignal {
  const gone = new AbortController();
  raw.once('close', () => gone.abort());
  return gone.signal;
}
