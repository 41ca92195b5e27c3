import type { Readable } from 'node:stream';
import type { FastifyReply } from 'fastify';

/** A download: `filename` as RFC 6266 wants it, letters outside ASCII included. */
export function sendBytes(
  reply: FastifyReply,
  type: string,
  { filename, sizeBytes, stream }: { filename: string; sizeBytes?: number; stream: Readable },
): FastifyReply {
  const plain = filename.replaceAll(/[^\w.\- ]/g, '_');
  if (sizeBytes !== undefined) void reply.header('content-length', sizeBytes);
  return reply
    .type(type)
    .header('content-disposition', `attachment; filename="${plain}"; filename*=UTF-8''${encodeURIComponent(filename)}`)
    .send(stream);
}
