import { setTimeout as sleep } from 'node:timers/promises';
import { AppError } from '@moraine/contract';

const CONNECTION =
  /ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|Connection terminated|connection timeout|timeout exceeded|not queryable|Connection is closed|isn't writeable/i;

/** True for what passes by itself: a server that is away, restarts or is overloaded. */
export function isTransient(error: unknown): boolean {
  if (error instanceof AppError) return error.code === 'unavailable';
  if (!(error instanceof Error)) return false;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  // SQLSTATE classes: connection, rollback (deadlock), resources, operator (shutdown, starting up).
  return /^(08|40|53|57)/.test(code) || CONNECTION.test(`${code} ${error.message}`);
}

export const isStale = (error: unknown): boolean => error instanceof AppError && error.code === 'stale_attempt';

const OTHER_TRIES = 3;

/**
 * Does the work until it is done: for as long as it takes while a server is away, a few times when the reason is another one. Work that
 * may have been done without our hearing of it must bear being done again. @throws the error, when it is stale, or will not pass, or on abort.
 */
export async function untilDone<T>(
  work: () => Promise<T>,
  { signal, onWait }: { signal?: AbortSignal; onWait?: (error: unknown) => void },
): Promise<T> {
  let others = 0;
  for (let tries = 0; ; tries++) {
    try {
      return await work();
    } catch (error) {
      if (isStale(error) || signal?.aborted) throw error;
      if (!isTransient(error) && ++others >= OTHER_TRIES) throw error;
      onWait?.(error);
      await sleep(Math.min(100 * 2 ** Math.min(tries, 5), 2_000), undefined, { signal }).catch(() => undefined);
      if (signal?.aborted) throw error;
    }
  }
}
