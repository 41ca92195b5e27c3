import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { AppError, type ErrorCode } from '@moraine/contract';
import type { Answer, Task } from './protocol.js';
import { createQueue } from './queue.js';

export interface Bounds {
  seconds: number;
  /** Of the thread's heap. */
  megabytes: number;
}

/** Threads at a time of a queue; whoever comes later waits. */
const THREADS_MAX = 2;

/** Eight seconds each at most: whoever comes behind these would wait for longer than clients do. */
const WAITING_MAX = 16;

/**
 * Files are validated for minutes, and bases are registered once their files have come: they wait as long as they must, in queues of their
 * own, so that what someone looks at does not stand behind them.
 */
const queues = {
  validate: createQueue(THREADS_MAX),
  check: createQueue(THREADS_MAX),
  asked: createQueue(THREADS_MAX, WAITING_MAX),
};

/**
 * Does a task in a thread of its own, so that a server goes on answering meanwhile.
 * @throws AppError as the task does, `rate_limited` where too many wait; RangeError where it takes more than the bounds.
 */
export function runAside<T>(task: Task, bounds: Bounds): Promise<T> {
  return queues[queueOf(task)](() => runThread<T>(task, bounds));
}

function queueOf({ kind }: Task): keyof typeof queues {
  if (kind === 'check_base' || kind === 'check_adapter') return 'check';
  return kind === 'validate' ? kind : 'asked';
}

async function runThread<T>(task: Task, { seconds, megabytes }: Bounds): Promise<T> {
  const worker = new Worker(new URL('./thread.js', import.meta.url), {
    workerData: task,
    resourceLimits: { maxOldGenerationSizeMb: megabytes },
  });
  // One that fails while it is ended has nobody else who listens, which would end the server.
  worker.on('error', () => {});
  try {
    const [answer] = (await once(worker, 'message', { signal: AbortSignal.timeout(seconds * 1_000) })) as [Answer<T>];
    if ('result' in answer) return answer.result;
    const { code, message, ...rest } = answer.refusal;
    throw new AppError(code as ErrorCode, message, rest);
  } catch (error) {
    throw beyond(error, { seconds, megabytes }) ?? error;
  } finally {
    await worker.terminate();
  }
}

function beyond(error: unknown, { seconds, megabytes }: Bounds): RangeError | null {
  if (!(error instanceof Error)) return null;
  if (error.name === 'AbortError') return new RangeError(`takes longer than ${seconds} s`);
  const isMemory = 'code' in error && error.code === 'ERR_WORKER_OUT_OF_MEMORY';
  return isMemory ? new RangeError(`needs more than ${megabytes} MB of memory`) : null;
}
