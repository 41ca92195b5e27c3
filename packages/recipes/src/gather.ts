/** Items of a message, and how long one waits for others. */
const ITEMS_TOGETHER = 64;
const GATHER_MS = 1_000;

/** Hands items on in batches. */
export function gather<Item>(send: (items: Item[]) => void) {
  let waiting: Item[] = [];
  let sent = 0;
  let sentAt = performance.now();
  const flush = (): void => {
    if (waiting.length > 0) send(waiting);
    sent += waiting.length;
    waiting = [];
    sentAt = performance.now();
  };
  return {
    add(item: Item): void {
      waiting.push(item);
      if (waiting.length >= ITEMS_TOGETHER || performance.now() - sentAt >= GATHER_MS) flush();
    },
    flush,
    count: () => sent,
  };
}
