import { availableParallelism, hostname } from 'node:os';
import { AppError, checkServerAddress } from '@moraine/contract';

export interface WorkerEnv {
  databaseUrl: string;
  redisUrl: string;
  blobsDir: string;
  /** Scratch space of this machine: attempts in progress, and inputs that do not lie here already. */
  workDir: string;
  pool: string;
  name: string;
  /** TensorFlow's threads. */
  threads: number;
  /** Resident memory at which the training process is ended with cause `oom`; null: nine tenths of what the machine or container has. */
  memoryLimitBytes: number | null;
  /** Room on the disks of attempts and blobs below which nothing is claimed; null: 256 MiB. */
  diskReserveBytes: number | null;
  /** How much lower than other programs of this machine the training process runs: 0 (as they do) to 19 (only what they leave). */
  nice: number;
  logLevel: string;
  logFormat: 'json' | 'pretty';
}

/** Every setting of the worker process, read once at its start. @throws AppError naming the variable that is missing or wrong. */
export function readEnv(source: NodeJS.ProcessEnv = process.env): WorkerEnv {
  const required = (name: string): string => {
    const value = source[name];
    if (value) return value;
    throw new AppError('invalid_value', `${name} is not set.`, {
      param: name,
      hint: 'npm start sets it; see deploy/ for workers of their own.',
    });
  };
  const positive = (name: string): number | null => readPositive(source, name);
  return {
    databaseUrl: checkServerAddress('DATABASE_URL', required('DATABASE_URL')),
    redisUrl: checkServerAddress('REDIS_URL', required('REDIS_URL')),
    blobsDir: required('MORAINE_BLOBS'),
    workDir: required('MORAINE_WORK_DIR'),
    pool: source.MORAINE_POOL || 'default',
    name: source.MORAINE_WORKER_NAME || hostname(),
    threads: positive('MORAINE_THREADS') ?? availableParallelism(),
    memoryLimitBytes: positive('MORAINE_MEMORY_LIMIT_BYTES'),
    diskReserveBytes: positive('MORAINE_DISK_RESERVE_BYTES'),
    nice: niceOf(source.MORAINE_TRAINING_NICE),
    logLevel: source.LOG_LEVEL || 'info',
    logFormat: source.LOG_FORMAT === 'pretty' ? 'pretty' : 'json',
  };
}

/** Training leaves the processor to the API and the databases where they share a machine (docs/log.md has what each priority gave). */
const NICE = 15;

function niceOf(text: string | undefined): number {
  if (!text) return NICE;
  const value = Number(text);
  if (Number.isInteger(value) && value >= 0 && value <= 19) return value;
  throw new AppError('invalid_value', `MORAINE_TRAINING_NICE is '${text}', which is no whole number from 0 to 19.`, {
    param: 'MORAINE_TRAINING_NICE',
    hint: '0 trains with the priority of other programs, 19 only when nothing else wants the processor.',
  });
}

/** What an attempt may leave on this machine's disk until Postgres has it; more holds the training. Undefined: 1 GiB. */
export const backlogLimitBytes = (source: NodeJS.ProcessEnv = process.env): number | undefined =>
  readPositive(source, 'MORAINE_BACKLOG_LIMIT_BYTES') ?? undefined;

function readPositive(source: NodeJS.ProcessEnv, name: string): number | null {
  const text = source[name];
  if (!text) return null;
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  throw new AppError('invalid_value', `${name} is '${text}', which is no whole number above zero.`, { param: name });
}

/**
 * glibc keeps the buffers of a step instead of giving them back to the kernel and zeroing them again in the next. The eager step took
 * 716 ms instead of 972 ms; the traced step, which trains today, showed no difference (docs/log.md has both). Read by glibc when a process
 * starts, so it cannot be set later.
 */
const KEEP_FREED_MEMORY = { MALLOC_MMAP_THRESHOLD_: '4294967296', MALLOC_TRIM_THRESHOLD_: '17179869184' };

/** What the child process sees: this process' environment, TensorFlow's threads, and no address or password of a server. */
export function childEnv(threads: number, source: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  const { DATABASE_URL: _database, REDIS_URL: _redis, ...rest } = source;
  const ofThreads = { OMP_NUM_THREADS: String(threads), TF_NUM_INTRAOP_THREADS: String(threads) };
  return { ...KEEP_FREED_MEMORY, ...rest, ...ofThreads };
}
