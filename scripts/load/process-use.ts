import { readdirSync, readFileSync } from 'node:fs';

export interface Use {
  /** Processor time of the process since it started, seconds. */
  cpuS: number;
  residentMb: number;
}

/** Time on a processor of each thread, to the nanosecond; those of a process that has just ended are none. */
function threadTimes(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).map(
      (thread) => Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]) / 1e9,
    );
  } catch {
    return [];
  }
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

/** What a process uses, from /proc. */
export function useOf(pid: number): Use {
  const residentKb = Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0);
  return { cpuS: sum(threadTimes(pid)), residentMb: residentKb / 1024 };
}

/** Processor time of each child of a process, seconds by process id: what a Postgres does, connection by connection. */
export function childTimes(pid: number): Map<number, number> {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').map(Number);
  return new Map(children.map((child) => [child, sum(threadTimes(child))]));
}
