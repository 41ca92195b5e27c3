import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { explain } from '@moraine/contract';
import { publicLookup, refuseAddress } from './webhook-address.js';

export interface Posted {
  statusCode: number | null;
  /** Why it counts as not delivered; null where it was. */
  error: string | null;
}

export interface PostOptions {
  allowsPrivate: boolean;
  timeoutMs: number;
}

/** Posts a body once. Redirects are not followed; what the receiver answers beside its status is not read. Never throws. */
export function postWebhook(
  url: string,
  headers: Record<string, string>,
  body: string,
  { allowsPrivate, timeoutMs }: PostOptions,
): Promise<Posted> {
  return new Promise((resolve) => {
    const fail = (error: unknown): void => {
      const isLate = error instanceof Error && error.name === 'TimeoutError';
      resolve({ statusCode: null, error: isLate ? `No answer within ${timeoutMs} ms.` : explain(error) });
    };
    try {
      refuseAddress(url, allowsPrivate);
      const send = new URL(url).protocol === 'https:' ? httpsRequest : httpRequest;
      const request = send(url, {
        method: 'POST',
        agent: false,
        headers: {
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body),
          'user-agent': 'Moraine-Webhooks/1',
          ...headers,
        },
        signal: AbortSignal.timeout(timeoutMs),
        ...(allowsPrivate ? {} : { lookup: publicLookup }),
      });
      request.on('error', (error) => fail(error.cause ?? error));
      request.on('response', (response) => {
        const statusCode = response.statusCode ?? 0;
        response.destroy();
        resolve({ statusCode, error: refusalOf(statusCode) });
      });
      request.end(body);
    } catch (error) {
      fail(error);
    }
  });
}

function refusalOf(statusCode: number): string | null {
  if (statusCode >= 200 && statusCode < 300) return null;
  if (statusCode >= 300 && statusCode < 400)
    return `It answered ${statusCode}; redirects are not followed, so change the address.`;
  return `It answered ${statusCode}.`;
}
