import { AppError } from '@moraine/contract';
import type { Repeatable } from '@moraine/services';
import type { FastifyRequest } from 'fastify';

/** Printable ASCII, as the header is meant to be; longer ones do not fit an index. */
const KEY = /^[ -~]{1,255}$/;

/** What a creating request says about being sent again. @throws AppError `invalid_value` for a key that cannot be kept. */
export function repeatableOf({ headers }: FastifyRequest): Repeatable {
  const retryCount = Number(headers['x-stainless-retry-count'] ?? 0) || 0;
  const key = headers['idempotency-key'];
  if (key === undefined || key === '') return { retryCount };
  if (typeof key !== 'string' || !KEY.test(key))
    throw new AppError('invalid_value', 'The header Idempotency-Key is not 1 to 255 printable ASCII characters.', {
      param: 'Idempotency-Key',
      hint: 'Take a UUID.',
    });
  return { idempotencyKey: key, retryCount };
}
