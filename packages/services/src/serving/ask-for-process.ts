import { type ServeWish, serveChannel } from '@moraine/contract/serving';
import type { Services } from '../ground/context.js';

/**
 * Asks whoever starts inference processes (`moraine up`, `moraine serve`) for one of a base. A wish may get lost, and is said again while its
 * request waits. Returns how many heard it; null while Redis says nothing.
 */
export function askForProcess(s: Services, base: { sha256: string }): Promise<number | null> {
  const wish: ServeWish = { base: base.sha256 };
  return s.redisLink.tell('A wish for an inference process', () =>
    s.redis.publish(serveChannel(s.redisPrefix), JSON.stringify(wish)),
  );
}
