import { setTimeout as sleep } from 'node:timers/promises';
import { AppError } from '@moraine/contract';
import { isServerAway } from '@moraine/services';

/** True for what passes by itself: a server that is away, restarts or is overloaded. */
export function isTransient(error: unknown): boolean {
  if (error instanceof AppError) return error.code === 'unavailable';
  return isServerAway(error);
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
