import { hostname } from 'node:os';
import { checkServerAddress, parse } from '@moraine/contract';
import { z } from 'zod';

const count = z.coerce.number().int().positive();

/** Every setting of the process, read once at its start. */
const Env = z.object({
  DATABASE_URL: z.string().min(1),
  REDIS_URL: z.string().min(1),
  MORAINE_BLOBS: z.string().min(1),
  /** Copies of what is not on this machine's disk. */
  MORAINE_WORK_DIR: z.string().min(1),
  /** The base that it answers for: its hash, or its name. */
  MORAINE_SERVE_BASE: z.string().min(1),
  /** Where it listens, and what the API reaches it by. */
  MORAINE_SERVE_HOST: z.string().min(1).default('127.0.0.1'),
  MORAINE_SERVE_PORT: z.coerce.number().int().min(0).max(65535).default(0),
  MORAINE_SERVE_ADDRESS: z.string().min(1).optional(),
  /** Answers that are written side by side. */
  MORAINE_SERVE_ROWS: count.max(256).default(8),
  /** Longest prompt and answer together, tokens; absent: the base's. */
  MORAINE_SERVE_CONTEXT: count.min(32).optional(),
  /** What weights, caches and adapters may take of memory. */
  MORAINE_SERVE_MEMORY_BYTES: count.optional(),
  /** Ends by itself after so long without a request; 0: never. */
  MORAINE_SERVE_IDLE_MS: z.coerce.number().int().min(0).default(0),
  /** File into which it says, every second, that it lives and for how long nobody has asked; absent: nowhere. */
  MORAINE_SERVE_SIGN: z.string().min(1).optional(),
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
  LOG_FORMAT: z.enum(['json', 'pretty']).default('json'),
});

export interface InferenceEnv {
  databaseUrl: string;
  redisUrl: string;
  blobsDir: string;
  workDir: string;
  base: string;
  host: string;
  port: number;
  /** Name or address of this machine that the API reaches it by. */
  announcedHost: string;
  rows: number;
  contextMax: number | undefined;
  memoryBytes: number | undefined;
  /** Null: it stays. */
  idleMs: number | null;
  signFile: string | undefined;
  logLevel: string;
  logFormat: 'json' | 'pretty';
}

/** @throws AppError naming the variable that is missing or wrong. */
export function readEnv(source: NodeJS.ProcessEnv = process.env): InferenceEnv {
  const given = Object.fromEntries(Object.entries(source).filter(([, value]) => value !== ''));
  const env = parse(Env, given, ' in the environment');
  const host = env.MORAINE_SERVE_HOST;
  const isEvery = host === '0.0.0.0' || host === '::';
  return {
    databaseUrl: checkServerAddress('DATABASE_URL', env.DATABASE_URL),
    redisUrl: checkServerAddress('REDIS_URL', env.REDIS_URL),
    blobsDir: env.MORAINE_BLOBS,
    workDir: env.MORAINE_WORK_DIR,
    base: env.MORAINE_SERVE_BASE,
    host,
    port: env.MORAINE_SERVE_PORT,
    announcedHost: env.MORAINE_SERVE_ADDRESS ?? (isEvery ? hostname() : host),
    rows: env.MORAINE_SERVE_ROWS,
    contextMax: env.MORAINE_SERVE_CONTEXT,
    memoryBytes: env.MORAINE_SERVE_MEMORY_BYTES,
    idleMs: env.MORAINE_SERVE_IDLE_MS || null,
    signFile: env.MORAINE_SERVE_SIGN,
    logLevel: env.LOG_LEVEL,
    logFormat: env.LOG_FORMAT,
  };
}
