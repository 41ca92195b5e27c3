import { Redis } from 'ioredis';
import type pg from 'pg';
import type { Logger } from 'pino';
import type { BlobStore } from './blob-store.js';
import { openPool, openPrisma, type PrismaClient } from './db.js';
import { describeError } from './describe-error.js';
import { createFsBlobStore } from './fs-blob-store.js';
import type { Patience } from './patience.js';
import type { PoolState } from './pool.js';
import { createQueueSet, type QueueSet } from './queue-set.js';
import { openRedisLink, type RedisLink } from './redis-link.js';
import { redisRetryMs } from './redis-retry.js';

/** Everything a verb needs, passed as its first argument. */
export interface Services {
  db: PrismaClient;
  /** The same connections for hand-written SQL. BIGINT columns arrive as text there. */
  pg: pg.Pool;
  /** How long connections to Postgres are waited for. */
  poolState(): PoolState;
  /** For commands only; code that blocks or subscribes opens a connection of its own from `redisUrl`. */
  redis: Redis;
  /** Says things to Redis that no caller may wait for. */
  redisLink: RedisLink;
  redisUrl: string;
  /** First part of every key of ours in Redis. */
  redisPrefix: string;
  blobs: BlobStore;
  log: Logger;
  queues: QueueSet;
  /** Work that outlives the call that began it: a failure is logged, and `close` waits for the end. */
  inBackground(what: string, task: Promise<void>): void;
  close(): Promise<void>;
}

/** Who asks. Every read and write is scoped by the project; ids of another project are `not_found`. */
export interface Actor {
  projectId: string;
  keyId: string | null;
}

/** The fencing token: every write of an attempt checks it in the same statement. */
export interface AttemptToken {
  taskId: string;
  attempt: number;
  workerId: string;
}

export interface ServicesOptions {
  databaseUrl: string;
  redisUrl: string;
  blobsDir: string;
  log: Logger;
  /** Default `moraine`. */
  redisPrefix?: string;
  /** Who waits for Postgres; default `request`. */
  patience?: Patience;
}

const COMMAND_TIMEOUT_MS = 5_000;

/**
 * Opens the connections. Redis may be away: commands then fail at once instead of waiting in memory, and the connection is tried again
 * for as long as the process lives. The database must have been migrated (`migrate`).
 */
export async function openServices({
  databaseUrl,
  redisUrl,
  blobsDir,
  log: parentLog,
  redisPrefix = 'moraine',
  patience = 'request',
}: ServicesOptions): Promise<Services> {
  const log = parentLog.child({}, { serializers: { err: describeError } });
  const onError = (error: Error): void => log.warn({ err: error }, 'a Postgres connection broke');
  const pool = openPool(databaseUrl, { onError, patience });
  const db = openPrisma(pool, patience);
  const redis = new Redis(redisUrl, {
    lazyConnect: true,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 1,
    // A server that holds the connection and says nothing is away, too.
    commandTimeout: COMMAND_TIMEOUT_MS,
    retryStrategy: redisRetryMs,
  });
  // Said once an outage, not once a try.
  let isAway = false;
  redis.on('error', (error: Error) => {
    if (!isAway) log.warn({ err: error }, 'Redis is not reachable; it is tried again until it is');
    isAway = true;
  });
  redis.on('ready', () => {
    if (isAway) log.info('Redis is back');
    isAway = false;
  });
  await redis.connect().catch(() => undefined);
  const queues = createQueueSet(redis, redisPrefix, (error) => log.debug({ err: error }, 'a queue lost Redis'));
  const redisLink = openRedisLink(redis, log);
  const tasks = new Set<Promise<void>>();
  return {
    db,
    pg: pool,
    poolState: () => pool.state(),
    redis,
    redisLink,
    redisUrl,
    redisPrefix,
    blobs: createFsBlobStore(blobsDir),
    log,
    queues,
    inBackground(what, task) {
      const settled = task
        .catch((error: unknown) => log.error({ err: error }, `${what} failed`))
        .finally(() => tasks.delete(settled));
      tasks.add(settled);
    },
    async close() {
      await Promise.all(tasks);
      redisLink.close();
      await queues.close();
      redis.disconnect();
      await db.$disconnect();
      await pool.end();
    },
  };
}
