import { hash } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Written } from '../plugins/serialize.js';

/** JSON text with its ETag, or 304 where the caller has it already; a browser asks with the tag by itself. */
export function tagged(request: FastifyRequest, reply: FastifyReply, text: string): FastifyReply {
  const written = new Written(text);
  const tag = `W/"${hash('sha1', written.body, 'base64url')}"`;
  void reply.header('etag', tag).header('cache-control', 'no-cache');
  return request.headers['if-none-match'] === tag ? reply.code(304).send() : reply.send(written);
}
