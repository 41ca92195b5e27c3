import { type ChildProcess, spawn } from 'node:child_process';
import { openSync, readdirSync, readFileSync } from 'node:fs';

/** A process of ours that is started again whenever it ends, as `moraine up` does. */
export interface Part {
  name: string;
  /** Null between an end and the next start. */
  pid(): number | null;
  signal(name: NodeJS.Signals): void;
  /** Ends it as an operator does, with time to hand back what it does. */
  stop(): Promise<void>;
  /** Kills it. */
  close(): Promise<void>;
}

const AGAIN_MS = 300;

export function startPart(name: string, args: string[], env: NodeJS.ProcessEnv, logFile: string): Part {
  let child: ChildProcess | null = null;
  let isOver = false;
  let ended: Promise<void> = Promise.resolve();
  const start = (): void => {
    if (isOver) return;
    const log = openSync(logFile, 'a');
    const one = spawn(process.execPath, args, { env, stdio: ['ignore', log, log] });
    child = one;
    ended = new Promise((resolve) => {
      one.once('exit', () => {
        child = null;
        setTimeout(start, AGAIN_MS);
        resolve();
      });
    });
  };
  start();
  return {
    name,
    pid: () => child?.pid ?? null,
    signal: (signal) => void child?.kill(signal),
    async stop() {
      isOver = true;
      child?.kill('SIGTERM');
      await ended;
    },
    async close() {
      isOver = true;
      child?.kill('SIGCONT');
      child?.kill('SIGKILL');
      await ended;
    },
  };
}

/** A process and all that descend from it. */
export function familyOf(pid: number): number[] {
  const parents = new Map<number, number>();
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, 'utf8');
      parents.set(Number(entry), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]));
    } catch {
      // It ended meanwhile.
    }
  }
  const family = [pid];
  for (const one of family) for (const [child, parent] of parents) if (parent === one) family.push(child);
  return family;
}

export function signalAll(pids: readonly number[], name: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, name);
    } catch {
      // It is gone already.
    }
  }
}
