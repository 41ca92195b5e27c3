import { readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * The folder of this process below the worker's: named after the process and the moment it started, because numbers come again, in a
 * container with each start.
 */
export const ownFolder = (workDir: string): string => join(workDir, `${process.pid}-${startOf(process.pid) ?? ''}`);

/** Folders of processes that are gone. */
export async function deadFolders(workDir: string): Promise<string[]> {
  const entries = await readdir(workDir).catch(() => []);
  return entries.filter((name) => /^\d+(-\d*)?$/.test(name) && !isAlive(name)).map((name) => join(workDir, name));
}

function isAlive(name: string): boolean {
  const [pid = '', started] = name.split('-');
  // An older version named them after the number alone; this process has another name.
  if (started === undefined && Number(pid) === process.pid) return false;
  if (started) return startOf(Number(pid)) === started;
  try {
    process.kill(Number(pid), 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** When a process started, in ticks since boot; null where it is gone, or the system does not say. */
function startOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? null : (fields[19] ?? null);
  } catch {
    return null;
  }
}
