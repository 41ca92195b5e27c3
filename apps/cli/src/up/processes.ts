import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** A process for good: its pid and the moment it started, since pids are used again. */
export interface ProcessId {
  pid: number;
  /** Ticks since boot on Linux, the printed start time elsewhere; compared, never interpreted. */
  started: string;
}

const isLinux = process.platform === 'linux';

/** The identity of a running process; null when there is none (a zombie, dead but not yet reaped, counts as none). */
export function identify(pid: number): ProcessId | null {
  if (!Number.isInteger(pid) || pid <= 0) return null;
  try {
    if (isLinux) {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      // The name is in brackets and may contain spaces: fields are counted from behind it. State is field 3, start time field 22.
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return fields[0] === 'Z' || fields[0] === 'X' ? null : { pid, started: fields[19] ?? '' };
    }
    const line = execFileSync('ps', ['-o', 'stat=,lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim();
    const [state = '', ...started] = line.split(/\s+/);
    return line === '' || state.startsWith('Z') ? null : { pid, started: started.join(' ') };
  } catch {
    return null;
  }
}

/** True while exactly this process runs. */
export const isRunning = (id: ProcessId): boolean => identify(id.pid)?.started === id.started;

/** Working folder of a process, null where it cannot be read. */
export function folderOf(pid: number): string | null {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return null;
  }
}

/** Program file of a process without its folder; a program replaced on disk still counts under its name. */
export function programOf(pid: number): string | null {
  try {
    const file = isLinux
      ? readlinkSync(`/proc/${pid}/exe`).replace(/ \(deleted\)$/, '')
      : execFileSync('ps', ['-o', 'comm=', '-p', String(pid)], { encoding: 'utf8' }).trim();
    return file.slice(file.lastIndexOf('/') + 1);
  } catch {
    return null;
  }
}

/** Pids of running processes whose working folder is `dir` (Linux only; empty elsewhere). */
export function processesIn(dir: string): number[] {
  if (!isLinux) return [];
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => Number.isInteger(pid) && folderOf(pid) === dir && identify(pid) !== null);
}

/** Leaders of process groups whose environment has this setting (Linux only; empty elsewhere): parts that nobody remembers. */
export function leadersWith(name: string, value: string): ProcessId[] {
  if (!isLinux) return [];
  const wanted = `\0${name}=${value}\0`;
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => Number.isInteger(pid) && pid !== process.pid && isLeader(pid))
    .flatMap((pid) => {
      try {
        const id = identify(pid);
        return id && `\0${readFileSync(`/proc/${pid}/environ`, 'utf8')}`.includes(wanted) ? [id] : [];
      } catch {
        return [];
      }
    });
}

/** A number of /proc/PID/stat behind the name, from 0: state, parent, group; null where there is no such process. */
function statOf(pid: number, field: number): number | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[field]);
  } catch {
    return null;
  }
}

/** The process that started this one, while it lives (Linux only; null elsewhere). */
export const parentOf = (pid: number): number | null => statOf(pid, 1);

const isLeader = (pid: number): boolean => statOf(pid, 2) === pid;

/** Sends a signal; false when the process is gone or not ours. */
export function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, name);
  } catch {
    return false;
  }
}

/** Waits until the process has ended; false when it still runs after `timeoutMs`. */
export async function waitForEnd(id: ProcessId, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  while (isRunning(id)) {
    if (performance.now() > deadline) return false;
    await sleep(15);
  }
  return true;
}

/** Ends a process: the polite signal, then after `graceMs` SIGKILL. Resolves when it is gone. */
export async function endProcess(id: ProcessId, polite: NodeJS.Signals, graceMs: number): Promise<void> {
  if (!isRunning(id)) return;
  signal(id.pid, polite);
  if (await waitForEnd(id, graceMs)) return;
  if (isRunning(id)) signal(id.pid, 'SIGKILL');
  await waitForEnd(id, 10_000);
}
