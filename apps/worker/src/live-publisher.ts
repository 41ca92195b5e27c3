import { setTimeout as sleep } from 'node:timers/promises';
import type { StreamMessage } from '@moraine/contract';
import { type Outgoing, publish, type Services } from '@moraine/services';

const PAGE = 200;
/** Messages that wait for Redis; beyond them followers are sent to Postgres, which has them all. */
const WAITING_MAX = 5_000;

export interface LivePublisher {
  send(messages: readonly StreamMessage[]): void;
  /** Waits until all that was sent is out, but no longer than `timeoutMs`. */
  flush(timeoutMs: number): Promise<void>;
  /** Drops what waits; where that is anything, followers are told to read anew as soon as Redis is there. */
  close(): void;
}

/**
 * Sends an attempt's messages to its live stream in order and once each, whenever Redis is there. Send only what Postgres has already:
 * a follower that reads there first and listens then must miss nothing.
 */
export function openLivePublisher(s: Services, runId: string, attempt: number): LivePublisher {
  let waiting: Outgoing[] = [];
  let seq = 0;
  let isRunning = false;

  const reset = (): Outgoing => ({ message: { event: 'reset', data: { step: 0, attempt } }, seq: ++seq });

  const run = async (): Promise<void> => {
    while (waiting.length > 0) {
      const page = waiting.slice(0, PAGE);
      try {
        await publish(s, runId, page, attempt);
        waiting = waiting.filter((one) => one.seq > (page.at(-1)?.seq ?? 0));
      } catch {
        // The process ends: nobody can be told any more.
        if (s.redis.status === 'end') return;
        await sleep(250, undefined, { ref: false });
      }
    }
  };

  const wake = (): void => {
    if (isRunning || waiting.length === 0) return;
    isRunning = true;
    void run().finally(() => {
      isRunning = false;
      wake(); // for what came between the last look and here
    });
  };

  return {
    send(messages) {
      for (const message of messages) waiting.push({ message, seq: ++seq });
      if (waiting.length > WAITING_MAX) {
        waiting = [reset()];
      }
      wake();
    },
    async flush(timeoutMs) {
      const until = performance.now() + timeoutMs;
      while (waiting.length > 0 && performance.now() < until) await sleep(10);
    },
    close() {
      // Redis is away: its followers learn when it is back that they must read anew.
      if (waiting.length > 0) waiting = [reset()];
    },
  };
}
