import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import type { Services } from './context.js';
import { type StreamEntry, toEntries } from './positions.js';
import { redisRetryMs } from './redis-retry.js';

export type Sink = (entries: readonly StreamEntry[]) => void;

/** How long one read waits; a stream that is asked for meanwhile joins the next read. */
const BLOCK_MS = 200;
const PAGE = 500;

interface Followed {
  position: string;
  sinks: Set<Sink>;
}

/**
 * One connection that reads all streams that anybody in this process follows, and hands out what comes. It opens with the first
 * follower, closes after the last one, and goes on from the same positions when Redis comes back.
 */
class StreamReader {
  private readonly followed = new Map<string, Followed>();
  private running = false;

  constructor(private readonly s: Services) {}

  /** Gives `sink` everything after `position`, or after wherever the stream is being read already. */
  add(key: string, position: string, sink: Sink): void {
    const entry = this.followed.get(key) ?? { position, sinks: new Set<Sink>() };
    entry.sinks.add(sink);
    this.followed.set(key, entry);
    if (!this.running) {
      this.running = true;
      this.read().catch((error: unknown) => this.s.log.error({ err: error }, 'the stream reader ended'));
    }
  }

  remove(key: string, sink: Sink): void {
    const entry = this.followed.get(key);
    entry?.sinks.delete(sink);
    if (entry?.sinks.size === 0) this.followed.delete(key);
  }

  private async read(): Promise<void> {
    const redis = new Redis(this.s.redisUrl, {
      connectionName: 'moraine-streams',
      maxRetriesPerRequest: 1,
      commandTimeout: BLOCK_MS + 5_000,
      retryStrategy: redisRetryMs,
    });
    redis.on('error', (error: Error) => this.s.log.debug({ err: error }, 'the stream reader lost Redis'));
    try {
      while (this.followed.size > 0) {
        try {
          await this.readOnce(redis);
        } catch (error) {
          if (String(error).includes('timed out')) redis.disconnect(true);
          await sleep(100);
        }
      }
    } finally {
      this.running = false;
      redis.disconnect();
    }
  }

  private async readOnce(redis: Redis): Promise<void> {
    const keys = [...this.followed.keys()];
    const positions = keys.map((key) => this.followed.get(key)?.position ?? '$');
    const reply = await redis.xread('COUNT', PAGE, 'BLOCK', BLOCK_MS, 'STREAMS', ...keys, ...positions);
    for (const [key, raw] of reply ?? []) {
      const entry = this.followed.get(key);
      const last = raw.at(-1)?.[0];
      if (!entry || last === undefined) continue;
      entry.position = last;
      const entries = toEntries(raw);
      for (const sink of entry.sinks) sink(entries);
    }
  }
}

const readers = new WeakMap<Services, StreamReader>();

export function readerOf(s: Services): StreamReader {
  const reader = readers.get(s) ?? new StreamReader(s);
  readers.set(s, reader);
  return reader;
}
