import { setTimeout as sleep } from 'node:timers/promises';
import type { StreamMessage } from '@moraine/contract';
import { type Outgoing, publish, type Services } from '@moraine/services';

const PAGE = 200;
/** Messages that wait for Redis; beyond them followers are told to read from Postgres, which has them all. */
const WAITING_MAX = 5_000;

interface Line {
  runId: string;
  attempt: number;
  seq: number;
  waiting: Outgoing[];
}

export interface LivePublisher {
  send(messages: readonly StreamMessage[]): void;
  /** Waits until all that was sent is out, but no longer than `timeoutMs`. */
  flush(timeoutMs: number): Promise<void>;
  close(): void;
}

/**
 * Sends an attempt's messages to its live stream in order and once each, whenever Redis is there. Send only what Postgres has already:
 * a follower that reads there first and listens then must miss nothing.
 */
export function openLivePublisher(s: Services, runId: string, attempt: number): LivePublisher {
  const line: Line = { runId, attempt, seq: 0, waiting: [] };
  let closed = false;
  let isRunning = false;

  const run = async (): Promise<void> => {
    while (line.waiting.length > 0 && !closed) {
      const page = line.waiting.slice(0, PAGE);
      try {
        const isOurs = await publish(s, runId, page, attempt);
        if (!isOurs) line.waiting = [];
        else line.waiting = line.waiting.filter(({ seq }) => seq > (page.at(-1)?.seq ?? 0));
      } catch {
        await sleep(250);
      }
    }
  };

  const wake = (): void => {
    if (isRunning || closed || line.waiting.length === 0) return;
    isRunning = true;
    void run().finally(() => {
      isRunning = false;
      wake(); // for what came between the last look and here
    });
  };

  return {
    send(messages) {
      if (closed) return;
      for (const message of messages) line.waiting.push({ message, seq: ++line.seq });
      if (line.waiting.length > WAITING_MAX) {
        line.waiting = [{ message: { event: 'reset', data: { step: 0, attempt } }, seq: ++line.seq }];
      }
      wake();
    },
    async flush(timeoutMs) {
      const until = Date.now() + timeoutMs;
      while (line.waiting.length > 0 && Date.now() < until) await sleep(10);
    },
    close() {
      closed = true;
    },
  };
}
