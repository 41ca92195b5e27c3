import { AppError } from '@moraine/contract';

type Queue = <T>(use: () => Promise<T>) => Promise<T>;

/**
 * Runs `max` at a time; one that ends hands its place to the first that waits.
 * @throws AppError `rate_limited` where `waitingMax` wait already.
 */
export function createQueue(max: number, waitingMax = Number.POSITIVE_INFINITY): Queue {
  let free = max;
  const waiting: (() => void)[] = [];
  return async (use) => {
    if (free === 0 && waiting.length >= waitingMax) throw tooMany(waiting.length);
    if (free === 0) await new Promise<void>((resolve) => waiting.push(resolve));
    else free -= 1;
    try {
      return await use();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else free += 1;
    }
  };
}

const tooMany = (count: number): AppError =>
  new AppError('rate_limited', `${count} requests to read rows wait already.`, {
    hint: 'Try again in some seconds, as the retry-after header says.',
  });
