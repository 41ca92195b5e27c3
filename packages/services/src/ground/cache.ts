/** Answers that depend on their key alone, a hash of content say: the last few are kept, and one that is being found is waited for. */
export interface Cache<T> {
  /** The answer for a key; `find` is called where it is not known. What throws is not kept. */
  get(key: string, find: () => Promise<T>): Promise<T>;
}

/** `isFinal`: whether an answer holds for good; one that time cut short, say, is given to those who wait and then forgotten. */
export function createCache<T>(entriesMax: number, isFinal: (answer: T) => boolean = () => true): Cache<T> {
  const entries = new Map<string, Promise<T>>();
  return {
    get(key, find) {
      const known = entries.get(key);
      // Behind the others: the one that nobody asked for the longest goes first.
      entries.delete(key);
      const found = known ?? find();
      entries.set(key, found);
      const forget = () => entries.get(key) === found && entries.delete(key);
      if (!known) void found.then((answer) => isFinal(answer) || forget(), forget);
      const [oldest] = entries.keys();
      if (entries.size > entriesMax && oldest !== undefined) entries.delete(oldest);
      return found;
    },
  };
}
