import { createHash } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';

const tagOf = (body: unknown): string => `W/"${createHash('sha1').update(JSON.stringify(body)).digest('base64url')}"`;

/** The body with its ETag, or 304 where the caller has it already; a browser asks with the tag by itself. */
export function tagged<T>(request: FastifyRequest, reply: FastifyReply, body: T): T | FastifyReply {
  const tag = tagOf(body);
  void reply.header('etag', tag).header('cache-control', 'no-cache');
  return request.headers['if-none-match'] === tag ? reply.code(304).send() : body;
}
