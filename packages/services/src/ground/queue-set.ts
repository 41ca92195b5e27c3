import { Queue } from 'bullmq';
import type { Redis } from 'ioredis';

/** All that travels through Redis for a task; everything else is read from Postgres by the worker that claims it. */
export interface WakeUp {
  taskId: string;
  submission: number;
}

/** The queues of the pools, opened when first asked for. */
export interface QueueSet {
  of(pool: string): Queue<WakeUp>;
  close(): Promise<void>;
}

/** BullMQ forbids a colon in a queue's name, so the pool is joined with a dash. */
export const queueName = (pool: string): string => `moraine-${pool}`;

export function createQueueSet(connection: Redis, prefix: string, onError: (error: Error) => void): QueueSet {
  const open = new Map<string, Queue<WakeUp>>();
  return {
    of(pool) {
      const before = open.get(pool);
      if (before) return before;
      const queue = new Queue<WakeUp>(queueName(pool), { connection, prefix });
      queue.on('error', onError);
      open.set(pool, queue);
      // One whose first words Redis did not answer would refuse for ever: the next call opens another.
      queue.waitUntilReady().catch(() => {
        if (open.get(pool) === queue) open.delete(pool);
        queue.close().catch(() => undefined);
      });
      return queue;
    },
    async close() {
      await Promise.allSettled([...open.values()].map((queue) => queue.close()));
      open.clear();
    },
  };
}
