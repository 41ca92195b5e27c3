import { readFileSync } from 'node:fs';

const TICKS_PER_SECOND = 100;

export interface Use {
  /** Processor time of the process since it started, seconds. */
  cpuS: number;
  residentMb: number;
}

/** What a process uses, from /proc. */
export function useOf(pid: number): Use {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The name in brackets may hold spaces; user and system time are fields 14 and 15.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const residentKb = Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0);
  return { cpuS: (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND, residentMb: residentKb / 1024 };
}
