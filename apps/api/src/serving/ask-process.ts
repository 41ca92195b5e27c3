import { type IncomingMessage, request } from 'node:http';
import type { ChosenProcess, ServedModel, Services } from '@moraine/services';
import { watchLife } from './sign-of-life.js';

/** By what the process knows what answers, beside the request as its caller sent it. */
const MODEL_HEADER = 'x-moraine-model';
const CONNECT_MS = 5_000;

export interface Question {
  /** What answers, by its content. */
  model: ServedModel;
  path: string;
  /** As it came. */
  body: Buffer;
}

/**
 * Sends a question to a process; resolves with its response, whose body is still to come. Rejects as `node:http` does, and on abort; both end where the
 * process gives no sign of life any more.
 */
export function askProcess(
  s: Services,
  { address, secret }: Pick<ChosenProcess, 'address' | 'secret'>,
  { model, path, body }: Question,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const headers = {
    authorization: `Bearer ${secret}`,
    'content-type': 'application/json',
    'content-length': body.byteLength,
    [MODEL_HEADER]: Buffer.from(JSON.stringify(model)).toString('base64url'),
  };
  const life = watchLife(s, address);
  const ends = AbortSignal.any([signal, life.lost]);
  return new Promise((resolve, reject) => {
    // A connection of its own: one that was kept may have been closed by the other end just now.
    const asked = request(`${address}${path}`, { method: 'POST', headers, signal: ends, agent: false }, resolve);
    const late = setTimeout(
      () => asked.destroy(Object.assign(new Error('no connection in time'), { code: 'ETIMEDOUT' })),
      CONNECT_MS,
    );
    asked.once('socket', (socket) => socket.once('connect', () => clearTimeout(late)));
    asked.once('error', reject).once('close', () => {
      clearTimeout(late);
      life.end();
    });
    asked.end(body);
  });
}

const NOT_DELIVERED = new Set(['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND', 'EAI_AGAIN', 'ETIMEDOUT']);

/** Whether an error of `askProcess` says that nobody has had the question. */
export const isNotDelivered = (error: unknown): boolean =>
  NOT_DELIVERED.has(String((error as NodeJS.ErrnoException).code));
