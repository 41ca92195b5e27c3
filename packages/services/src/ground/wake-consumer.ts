import { setTimeout as sleep } from 'node:timers/promises';
import { newId } from '@moraine/contract';
import { type Job, Worker } from 'bullmq';
import type { Services } from './context.js';
import { queueName, type WakeUp } from './queue-set.js';
import { redisRetryMs } from './redis-retry.js';

/** A wake-up in hand. Finish it whether or not a claim followed: it only says "look". */
export interface HeldWakeUp {
  taskId: string;
  finish(): Promise<void>;
}

export interface WakeConsumer {
  /** Waits for a wake-up for at most about `waitMs`; null when none came (or Redis is away). A busy worker simply does not call this. */
  next(waitMs: number, signal?: AbortSignal): Promise<HeldWakeUp | null>;
  /** How often the consumer was opened again because a blocking read did not come back. */
  restarts(): number;
  close(): Promise<void>;
}

const BLOCK_SECONDS = 3;

/**
 * The consuming end of a pool's queue, one wake-up at a time, fetched by hand: the blocking read then ends where we can see it, and one
 * that has not ended after twice its time (a connection that died quietly) gets a new consumer.
 */
export function openWakeConsumer(s: Services, pool: string, { blockSeconds = BLOCK_SECONDS } = {}): WakeConsumer {
  const token = newId('worker');
  const connection = {
    url: s.redisUrl,
    maxRetriesPerRequest: null,
    retryStrategy: redisRetryMs,
  };
  let restarts = 0;
  let closed = false;

  const open = (): Worker<WakeUp> => {
    const worker = new Worker<WakeUp>(queueName(pool), null, {
      connection,
      prefix: s.redisPrefix,
      autorun: false,
      drainDelay: blockSeconds,
      lockDuration: 10_000,
      stalledInterval: 5_000,
      maxStalledCount: 1_000,
    });
    worker.on('error', (error) => s.log.debug({ err: error }, 'the wake-up consumer lost Redis'));
    worker.startStalledCheckTimer().catch(() => undefined);
    return worker;
  };
  let worker = open();
  let reading: Promise<Job<WakeUp> | undefined> | null = null;

  const restart = (): void => {
    restarts++;
    s.log.warn({ pool }, 'the wake-up consumer did not come back from a blocking read and is opened again');
    worker.close(true).catch(() => undefined);
    worker = open();
    reading = null;
  };

  return {
    async next(waitMs, signal) {
      const until = performance.now() + waitMs;
      while (!closed && !signal?.aborted) {
        reading ??= worker.getNextJob(token, { block: true });
        const read = reading;
        read.catch(() => undefined);
        const job = await firstOf(read, 2_000 * blockSeconds, signal);
        if (job === 'aborted') return null;
        reading = null;
        if (job === 'silent') restart();
        else if (job === 'failed') await sleep(250);
        else if (job) return held(s, job, token);
        if (performance.now() >= until) return null;
      }
      return null;
    },
    restarts: () => restarts,
    async close() {
      closed = true;
      await worker.close(true).catch(() => undefined);
    },
  };
}

const held = (s: Services, job: Job<WakeUp>, token: string): HeldWakeUp => ({
  taskId: job.data.taskId,
  finish: async () => {
    await job.moveToCompleted('', token, false).catch((error: unknown) => {
      s.log.debug(
        { err: error, taskId: job.data.taskId },
        'a wake-up was not finished; it will be seen again and do no harm',
      );
    });
  },
});

/** The job, or why there is none: the read did not end in time, it broke, or nobody wants it any more (it is kept for the next call). */
async function firstOf(
  read: Promise<Job<WakeUp> | undefined>,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<Job<WakeUp> | undefined | 'silent' | 'failed' | 'aborted'> {
  const stop = new AbortController();
  const onAbort = (): void => stop.abort('aborted');
  signal?.addEventListener('abort', onAbort);
  try {
    return await Promise.race([
      read.catch((): 'failed' => 'failed'),
      sleep(timeoutMs, 'silent' as const, { signal: stop.signal }).catch((): 'aborted' => 'aborted'),
    ]);
  } finally {
    signal?.removeEventListener('abort', onAbort);
    stop.abort();
  }
}
