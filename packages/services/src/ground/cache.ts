/** Answers that depend on their key alone, a hash of content say: the last few are kept, and one that is being found is waited for. */
export interface Cache<T> {
  /** The answer for a key; `find` is called where it is not known. What throws is not kept. */
  get(key: string, find: () => Promise<T>): Promise<T>;
}

export function createCache<T>(entriesMax: number): Cache<T> {
  const entries = new Map<string, Promise<T>>();
  return {
    get(key, find) {
      const known = entries.get(key);
      // Behind the others: the one that nobody asked for the longest goes first.
      entries.delete(key);
      const found = known ?? find();
      entries.set(key, found);
      if (!known) void found.catch(() => entries.get(key) === found && entries.delete(key));
      const [oldest] = entries.keys();
      if (entries.size > entriesMax && oldest !== undefined) entries.delete(oldest);
      return found;
    },
  };
}
