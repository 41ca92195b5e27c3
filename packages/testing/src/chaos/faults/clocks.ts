import { setTimeout as sleep } from 'node:timers/promises';
import type { ChaosStack } from '../stack.js';
import type { Fault } from './fault.js';

const STEP_MS = 300_000;

/** Puts clocks to another time for the length of a lease. */
const stepped =
  (clocks: (stack: ChaosStack) => ((stepMs: number) => Promise<void>) | null, stepMs: number): Fault['strike'] =>
  async (stack) => {
    const set = clocks(stack);
    await set?.(stepMs);
    await sleep(stack.leaseMs);
    await set?.(0);
  };

const needsFakeTime = ({ clocks }: ChaosStack): string | null =>
  clocks.setAll ? null : 'libfaketime is missing (Debian: apt-get install libfaketime)';

export const CLOCKS: readonly Fault[] = [
  {
    name: 'clock put on 300 s and back',
    harms: 'none',
    isOutlasted: true,
    strike: stepped(({ clocks }) => clocks.setDatabase, STEP_MS),
  },
  {
    name: 'clock put back 300 s and on',
    harms: 'none',
    isOutlasted: true,
    strike: stepped(({ clocks }) => clocks.setDatabase, -STEP_MS),
  },
  {
    name: 'clocks of all put on 300 s and back',
    harms: 'none',
    isOutlasted: true,
    isLong: true,
    impossible: needsFakeTime,
    strike: stepped(({ clocks }) => clocks.setAll, STEP_MS),
  },
  {
    name: 'clocks of all put back 300 s and on',
    harms: 'none',
    isOutlasted: true,
    isLong: true,
    impossible: needsFakeTime,
    strike: stepped(({ clocks }) => clocks.setAll, -STEP_MS),
  },
];
