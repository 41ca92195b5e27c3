import { fileURLToPath } from 'node:url';
import { checkServerAddress, parse } from '@moraine/contract';
import type { Retention } from '@moraine/services';
import { z } from 'zod';

const DASHBOARD = fileURLToPath(new URL('../../dashboard/dist', import.meta.url));
const days = z.coerce.number().int().min(0).default(0);
const bytes = (preset: number) => z.coerce.number().int().positive().default(preset);

/** Every setting of the API process, read once at its start. */
const Env = z.object({
  DATABASE_URL: z.string().min(1),
  REDIS_URL: z.string().min(1),
  MORAINE_BLOBS: z.string().min(1),
  HOST: z.string().default('127.0.0.1'),
  PORT: z.coerce.number().int().min(0).max(65535).default(7311),
  /** Address that people reach the server at, for one-time links behind a proxy; absent: the Host header of the request. */
  MORAINE_PUBLIC_URL: z.url().optional(),
  MORAINE_DASHBOARD_DIR: z.string().default(DASHBOARD),
  MORAINE_UPLOAD_LIMIT_BYTES: bytes(512 * 1024 ** 2),
  MORAINE_BASE_LIMIT_BYTES: bytes(64 * 1024 ** 3),
  /** The hub that bases are downloaded from, as Hugging Face's tools name it, and the token for it. */
  HF_ENDPOINT: z.string().optional(),
  HF_TOKEN: z.string().optional(),
  /** How long a request waits for a process that answers before it is refused for a while. */
  MORAINE_SERVE_WAIT_MS: z.coerce.number().int().min(0).max(600_000).default(30_000),
  /** Requests a minute that one key may send: 500 a second. */
  MORAINE_RATE_LIMIT: z.coerce.number().int().positive().default(30_000),
  /** Days that a deleted run can be restored; 0: it is removed at once. */
  MORAINE_KEEP_DELETED_DAYS: z.coerce.number().int().min(0).max(36_500).default(7),
  /** Days that log lines, events and single points of long curves are kept of runs that have ended; 0: for ever. */
  MORAINE_KEEP_LOGS_DAYS: days,
  MORAINE_KEEP_EVENTS_DAYS: days,
  MORAINE_KEEP_POINTS_DAYS: days,
  /** `1` behind a proxy that sets X-Forwarded-*: the addresses it gives are believed. */
  MORAINE_TRUST_PROXY: z.enum(['0', '1']).default('0'),
  /** After SIGTERM: how long new connections are still taken while /readyz says 503. */
  MORAINE_DRAIN_DELAY_MS: z.coerce.number().int().min(0).default(500),
  /** After SIGTERM: how long requests in flight, uploads above all, may take to end. */
  MORAINE_DRAIN_TIMEOUT_MS: z.coerce.number().int().min(0).default(30_000),
  /** What /healthz says of this process, so that what started it knows it from another on the same address. */
  MORAINE_INSTANCE: z.string().optional(),
  /** `1`: webhooks may be sent to private and loopback addresses of this network. */
  MORAINE_WEBHOOK_PRIVATE: z.enum(['0', '1']).default('0'),
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
  LOG_FORMAT: z.enum(['json', 'pretty']).default('json'),
});

export interface ApiEnv {
  databaseUrl: string;
  redisUrl: string;
  blobsDir: string;
  host: string;
  port: number;
  publicUrl: string | null;
  dashboardDir: string;
  uploadLimitBytes: number;
  baseLimitBytes: number;
  hub: { endpoint: string | undefined; token: string | undefined };
  /** Default 30 s. */
  serveWaitMs?: number;
  rateLimit: number;
  /** Default 7. */
  keepDeletedDays?: number;
  /** Default: everything is kept. */
  retention?: Retention;
  trustProxy: boolean;
  instance: string | null;
  /** Whether each body is held against the schema of its route before it is sent: for tests. */
  checkResponses?: boolean;
  drain: { delayMs: number; timeoutMs: number };
  webhookPrivate: boolean;
  logLevel: string;
  logFormat: 'json' | 'pretty';
}

/** Reads the environment; an `AppError` names the variable that is missing or wrong. */
export function readEnv(source: NodeJS.ProcessEnv = process.env): ApiEnv {
  const env = parse(Env, source, ' in the environment');
  return {
    databaseUrl: checkServerAddress('DATABASE_URL', env.DATABASE_URL),
    redisUrl: checkServerAddress('REDIS_URL', env.REDIS_URL),
    blobsDir: env.MORAINE_BLOBS,
    host: env.HOST,
    port: env.PORT,
    publicUrl: env.MORAINE_PUBLIC_URL?.replace(/\/+$/, '') ?? null,
    dashboardDir: env.MORAINE_DASHBOARD_DIR,
    uploadLimitBytes: env.MORAINE_UPLOAD_LIMIT_BYTES,
    baseLimitBytes: env.MORAINE_BASE_LIMIT_BYTES,
    // Refused where a download asks for it: no wrong address of a hub keeps the API from its other work.
    hub: { endpoint: env.HF_ENDPOINT?.trim() || undefined, token: env.HF_TOKEN?.trim() || undefined },
    serveWaitMs: env.MORAINE_SERVE_WAIT_MS,
    rateLimit: env.MORAINE_RATE_LIMIT,
    keepDeletedDays: env.MORAINE_KEEP_DELETED_DAYS,
    retention: {
      logsDays: env.MORAINE_KEEP_LOGS_DAYS || null,
      eventsDays: env.MORAINE_KEEP_EVENTS_DAYS || null,
      pointsDays: env.MORAINE_KEEP_POINTS_DAYS || null,
    },
    trustProxy: env.MORAINE_TRUST_PROXY === '1',
    instance: env.MORAINE_INSTANCE || null,
    drain: { delayMs: env.MORAINE_DRAIN_DELAY_MS, timeoutMs: env.MORAINE_DRAIN_TIMEOUT_MS },
    webhookPrivate: env.MORAINE_WEBHOOK_PRIVATE === '1',
    logLevel: env.LOG_LEVEL,
    logFormat: env.LOG_FORMAT,
  };
}

/** The key that `prepare` makes sure of; undefined to have one made. */
export const rootKey = (source: NodeJS.ProcessEnv = process.env): string | undefined =>
  source.MORAINE_API_KEY || undefined;

/** What the process that makes an export sees: this process' environment without the addresses and passwords of servers. */
export function exportEnv(source: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  const { DATABASE_URL: _database, REDIS_URL: _redis, MORAINE_API_KEY: _key, HF_TOKEN: _token, ...rest } = source;
  return rest;
}
