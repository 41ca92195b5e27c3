import { setTimeout as sleep } from 'node:timers/promises';
import { type Part, signalAll } from '../process-part.js';
import { childrenOf, type Fault, pastLease, processesOf, stopFor } from './fault.js';

const CHILD_MS = 2_000;

/** The processes that train below a worker; waits a little for one that was just asked for. */
async function childrenSoon(worker: Part): Promise<number[]> {
  const end = performance.now() + CHILD_MS;
  for (;;) {
    const found = childrenOf(worker);
    if (found.length > 0 || performance.now() > end) return found;
    await sleep(5);
  }
}

export const KILLS: readonly Fault[] = [
  { name: 'kill -9 of a worker', harms: 'one', strike: async (_stack, worker) => worker.signal('SIGKILL') },
  {
    name: 'kill -9 of a training child',
    harms: 'one',
    strike: async (_stack, worker) => signalAll(await childrenSoon(worker), 'SIGKILL'),
  },
  { name: 'kill -9 of the API', harms: 'none', strike: async ({ api }) => api.signal('SIGKILL') },
  { name: 'kill -9 of Redis', harms: 'none', strike: (stack) => stack.crash('redis') },
  { name: 'kill -9 of Postgres', harms: 'none', strike: (stack) => stack.crash('postgres') },
  {
    name: 'kill -9 of everything',
    harms: 'all',
    async strike(stack) {
      for (const part of [stack.api, ...stack.workers]) part.signal('SIGKILL');
      await Promise.all([stack.crash('redis'), stack.crash('postgres')]);
    },
  },
];

export const STOPS: readonly Fault[] = [
  {
    name: 'a worker stopped past its lease',
    harms: 'one',
    strike: (stack, worker) => stopFor(processesOf(worker).slice(0, 1), pastLease(stack)),
  },
  {
    name: 'a worker and its training child stopped past their lease',
    harms: 'one',
    isLong: true,
    strike: (stack, worker) => stopFor(processesOf(worker), pastLease(stack)),
  },
  {
    name: 'a training child stopped past the lease',
    harms: 'none',
    isOutlasted: true,
    isLong: true,
    strike: async (stack, worker) => stopFor(await childrenSoon(worker), pastLease(stack)),
  },
  {
    name: 'the API stopped',
    harms: 'none',
    isLong: true,
    strike: (stack) => stopFor(processesOf(stack.api), pastLease(stack)),
  },
];

export const DOUBLES: Fault = {
  name: 'two of everything',
  harms: 'none',
  async strike(stack) {
    const end = stack.double();
    await sleep(3_000);
    await end();
  },
};
