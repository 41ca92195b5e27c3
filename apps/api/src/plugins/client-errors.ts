import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { AppError, errorBody } from '@moraine/contract';
import type { FastifyInstance } from 'fastify';
import { requestId } from './requests.js';

/** Status and words for what Node's parser refuses, by its code. */
const REFUSALS: Record<string, [status: number, message: string]> = {
  HPE_HEADER_OVERFLOW: [431, 'URL and headers of the request are larger than this server takes.'],
  HPE_INVALID_EOF_STATE: [400, 'The connection ended before the request did.'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'The request took too long to arrive.'],
};

/** What is no HTTP reaches no route and no hook: it is answered here in the form of every other error, and its connection ends. */
export function refuseUnreadable(this: FastifyInstance, cause: Error & { code?: string }, socket: Socket): void {
  if (cause.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
  const [status, message] = REFUSALS[cause.code ?? ''] ?? [400, `The request is not valid HTTP: ${cause.message}.`];
  const error = new AppError('invalid_request', message, {
    hint:
      status === 431
        ? 'Send a shorter URL, and fewer or shorter headers.'
        : 'Look at the length that Content-Length gives, and at what stands between caller and server.',
    cause,
  });
  const id = requestId({ headers: {} });
  this.log.info({ err: cause, requestId: id }, message);
  const body = JSON.stringify(errorBody(error));
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'content-type: application/json; charset=utf-8',
    `content-length: ${Buffer.byteLength(body)}`,
    `x-request-id: ${id}`,
    `x-should-retry: ${status === 408}`,
    'connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}
