import { fork } from 'node:child_process';
import { AppError, type ErrorCode } from '@moraine/contract';
import type { Answer, Task } from './protocol.js';
import { createQueue } from './queue.js';

export interface Bounds {
  seconds: number;
  /** Of the process' heap. */
  megabytes: number;
}

/** Processes at a time of a queue; whoever comes later waits. */
const PROCESSES_MAX = 2;

/** Eight seconds each at most: whoever comes behind these would wait for longer than clients do. */
const WAITING_MAX = 16;

/**
 * Files are validated and divided for minutes, and bases are registered once their files have come: they wait as long as they must, in queues of their
 * own, so that what someone looks at does not stand behind them.
 */
const queues = {
  validate: createQueue(PROCESSES_MAX),
  check: createQueue(PROCESSES_MAX),
  asked: createQueue(PROCESSES_MAX, WAITING_MAX),
};

const COMPLAINT_MAX = 20_000;
/** How Node ends when its heap is full. */
const OUT_OF_MEMORY = /heap out of memory|invalid size error|Allocation failed/;

/**
 * Does a task in a process of its own, so that a server goes on answering meanwhile. No thread: one whose heap is full inside of Node's own code, as
 * JSON.parse is, ends the whole server.
 * @throws AppError as the task does, `rate_limited` where too many wait; RangeError where it takes more than the bounds.
 */
export function runAside<T>(task: Task, bounds: Bounds): Promise<T> {
  return queues[QUEUE_OF[task.kind]](() => runProcess<T>(task, bounds));
}

/** Where each kind of task waits: a new one says so here. */
export const QUEUE_OF: Readonly<Record<Task['kind'], keyof typeof queues>> = {
  validate: 'validate',
  validate_evals: 'validate',
  split: 'validate',
  check_base: 'check',
  check_adapter: 'check',
  encode: 'asked',
  estimate: 'asked',
  preview: 'asked',
};

async function runProcess<T>(task: Task, { seconds, megabytes }: Bounds): Promise<T> {
  const child = fork(new URL('./program.js', import.meta.url), [], {
    execArgv: [`--max-old-space-size=${megabytes}`],
    serialization: 'advanced',
    // What others sent is read there: it needs no address and no password of a server.
    env: {},
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  const said = new Promise<Answer<T>>((resolve, reject) => {
    const late = setTimeout(() => reject(new RangeError(`takes longer than ${seconds} s`)), seconds * 1_000);
    let complaint = '';
    child.stderr?.on('data', (piece: Buffer) => {
      complaint = (complaint + piece.toString()).slice(-COMPLAINT_MAX);
    });
    child.once('message', (answer) => resolve(answer as Answer<T>));
    child.once('error', reject);
    child.once('close', (code, signal) => {
      clearTimeout(late);
      if (OUT_OF_MEMORY.test(complaint)) reject(new RangeError(`needs more than ${megabytes} MB of memory`));
      else
        reject(new AppError('internal', `The process that was to read it ended with ${signal ?? code}: ${complaint}`));
    });
  });
  try {
    child.send(task, () => undefined);
    const answer = await said;
    if ('result' in answer) return answer.result;
    const { code, message, ...rest } = answer.refusal;
    throw new AppError(code as ErrorCode, message, rest);
  } finally {
    child.kill('SIGKILL');
  }
}
