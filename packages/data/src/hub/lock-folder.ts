import { readdir, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { AppError } from '@moraine/contract';

/** Marks of this process. One of its number that is not here is of an earlier process: in a container each has the same number. */
const held = new Set<string>();

/**
 * Keeps other processes of this machine from downloading into the same folder: two that write one file would spoil it for each other. Each
 * leaves a mark of its own and then looks for others, so that of two at a time never both go on. What a process that ended left behind is
 * taken away. Returns what frees the folder.
 * @throws AppError `conflict` naming the process.
 */
export async function lockFolder(dir: string, what: string): Promise<() => Promise<void>> {
  const own = resolve(dir, `.lock-${process.pid}`);
  if (held.has(own)) throw inUse(process.pid, what);
  held.add(own);
  const unlock = async (): Promise<void> => {
    await rm(own, { force: true });
    held.delete(own);
  };
  try {
    await writeFile(own, '');
    await refuseOthers(dir, what);
  } catch (error) {
    await unlock();
    throw error;
  }
  return unlock;
}

async function refuseOthers(dir: string, what: string): Promise<void> {
  for (const name of await readdir(dir)) {
    const pid = Number(/^\.lock-(\d+)$/.exec(name)?.[1] ?? process.pid);
    if (pid === process.pid) continue;
    if (isAlive(pid)) throw inUse(pid, what);
    await rm(join(dir, name), { force: true });
  }
}

const inUse = (pid: number, what: string): AppError =>
  new AppError('conflict', `Process ${pid} downloads ${what} already.`, {
    hint: 'Wait for it, or end it: what has arrived is kept.',
  });

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}
