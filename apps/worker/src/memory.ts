import { readFileSync } from 'node:fs';
import { freemem, totalmem } from 'node:os';
import { machineMemory } from '@moraine/contract/machine-memory';

/** What a child may hold unless the worker is set otherwise: the rest is for the worker itself. */
export const memoryLimitBytes = (): number => Math.round(0.9 * machineMemory());

/** Memory that could be had now; null inside a container, where files that are only cached count as used. */
export const availableBytes = (): number | null => (machineMemory() < totalmem() ? null : freemem());

/** Resident memory of a process; null where the system does not report it (only Linux does it this way). */
export function residentBytes(pid: number): number | null {
  const kilobytes = field(`/proc/${pid}/status`, /^VmRSS:\s+(\d+) kB$/m);
  return kilobytes === null ? null : kilobytes * 1024;
}

/** How many processes the kernel has ended on this machine because memory ran out. */
export const oomKills = (): number => field('/proc/vmstat', /^oom_kill (\d+)$/m) ?? 0;

function field(path: string, pattern: RegExp): number | null {
  try {
    const found = pattern.exec(readFileSync(path, 'utf8'))?.[1];
    return found === undefined ? null : Number(found);
  } catch {
    return null;
  }
}
