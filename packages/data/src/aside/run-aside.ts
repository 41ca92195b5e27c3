import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { AppError, type ErrorCode } from '@moraine/contract';
import type { Answer, Task } from './protocol.js';

export interface Bounds {
  seconds: number;
  /** Of the thread's heap. */
  megabytes: number;
}

/** Threads at a time; whoever comes later waits. */
const THREADS_MAX = 2;
let running = 0;
const waiting: (() => void)[] = [];

/**
 * Does a task in a thread of its own, so that a server goes on answering meanwhile.
 * @throws AppError as the task does; RangeError where it takes more than the bounds.
 */
export async function runAside<T>(task: Task, bounds: Bounds): Promise<T> {
  if (running >= THREADS_MAX) await new Promise<void>((resolve) => waiting.push(resolve));
  running += 1;
  try {
    return await runThread<T>(task, bounds);
  } finally {
    running -= 1;
    waiting.shift()?.();
  }
}

async function runThread<T>(task: Task, { seconds, megabytes }: Bounds): Promise<T> {
  const worker = new Worker(new URL('./thread.js', import.meta.url), {
    workerData: task,
    resourceLimits: { maxOldGenerationSizeMb: megabytes },
  });
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
