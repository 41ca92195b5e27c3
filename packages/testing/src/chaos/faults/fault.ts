import { setTimeout as sleep } from 'node:timers/promises';
import { familyOf, type Part, signalAll } from '../process-part.js';
import type { ChaosStack } from '../stack.js';

/** Draws a number from 0 up to 1, the same ones for the same seed. */
export type Random = () => number;

export interface Fault {
  name: string;
  /** How many attempts may be lost to it: none, that of the worker that it strikes, or all. More were taken from workers that were well. */
  harms: 'none' | 'one' | 'all';
  /** The runs outlast the fault, and a lease that began before it: those of other faults may be done before it is over. */
  isOutlasted?: boolean;
  /** Left out of the short form. */
  isLong?: boolean;
  /** Why it cannot be done here; absent or null where it can. */
  impossible?(stack: ChaosStack): string | null;
  /** Does it, to `worker` where it strikes one, and undoes it; resolves when the service could work again. */
  strike(stack: ChaosStack, worker: Part, random: Random): Promise<void>;
}

/** How long a process is away to be away for longer than a lease. */
export const pastLease = ({ leaseMs }: ChaosStack): number => leaseMs + 3_000;

/** A process of a part, and all below it; none between an end and the next start. */
export const processesOf = (part: Part): number[] => {
  const pid = part.pid();
  return pid === null ? [] : familyOf(pid);
};

/** The processes that train below a worker. */
export const childrenOf = (worker: Part): number[] => processesOf(worker).slice(1);

export async function stopFor(pids: readonly number[], ms: number): Promise<void> {
  signalAll(pids, 'SIGSTOP');
  await sleep(ms);
  signalAll(pids, 'SIGCONT');
}
