import { Transform } from 'node:stream';
import type { FastifyRequest, preParsingHookHandler } from 'fastify';

const sent = new WeakMap<FastifyRequest, Buffer[]>();

/** Keeps the bytes of a body beside what they are parsed to: who answers sees numbers and the order of keys as they were written. */
export const keepSentText: preParsingHookHandler = (request, _reply, payload, done) => {
  const chunks: Buffer[] = [];
  sent.set(request, chunks);
  const kept = new Transform({
    transform(chunk: Buffer, _encoding, next) {
      chunks.push(chunk);
      next(null, chunk);
    },
  });
  payload.once('error', (error) => kept.destroy(error));
  done(null, payload.pipe(kept));
};

/** The body of a request as it came. */
export const sentText = (request: FastifyRequest): Buffer => Buffer.concat(sent.get(request) ?? []);
