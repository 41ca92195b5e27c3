type Queue = <T>(use: () => Promise<T>) => Promise<T>;

/** Runs `max` at a time; one that ends hands its place to the first that waits. */
export function createQueue(max: number): Queue {
  let free = max;
  const waiting: (() => void)[] = [];
  return async (use) => {
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
