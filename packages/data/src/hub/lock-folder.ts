import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '@moraine/contract';

/**
 * Keeps other processes of this machine from downloading into the same folder: two that write one file would spoil it for each other. What a
 * process that ended left behind is taken over. Returns what frees the folder.
 * @throws AppError `conflict` naming the process.
 */
export async function lockFolder(dir: string, what: string): Promise<() => Promise<void>> {
  const lock = join(dir, '.lock');
  for (;;) {
    try {
      await writeFile(lock, `${process.pid}`, { flag: 'wx' });
      return () => rm(lock, { force: true });
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    }
    const pid = Number(await readFile(lock, 'utf8').catch(() => ''));
    if (isAlive(pid)) {
      throw new AppError('conflict', `Process ${pid} downloads ${what} already.`, {
        hint: 'Wait for it, or end it: what has arrived is kept.',
      });
    }
    await rm(lock, { force: true });
  }
}

function isAlive(pid: number): boolean {
  if (!Number.isInteger(pid) || pid < 1) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}
