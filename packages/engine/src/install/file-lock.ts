import { randomBytes } from 'node:crypto';
import { existsSync, linkSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import path from 'node:path';
import { makeFolder } from '@moraine/contract/make-folder';

interface Owner {
  pid: number;
  /** Clock ticks since boot at which the process began, so that a reused pid is not mistaken for it; '' where unknown. */
  started: string;
  host: string;
}

const beatMs = 5_000;
// Longer than any pause of a living holder; only reached where its process cannot be looked at (another container).
const silentMs = 60_000;

/**
 * Runs `work` while holding `<file>`, so that two processes do not download the same thing twice. A holder that was killed, even by
 * SIGKILL, is recognised by its process and replaced at once; one on another host or in another container by its silence.
 * The work must still be safe when done twice (unpack aside, then rename): the lock only saves effort.
 * @param onWait called once with the holder's process id if there is one.
 */
export async function withFileLock<T>(
  file: string,
  work: () => Promise<T>,
  onWait?: (pid: number) => void,
): Promise<T> {
  makeFolder(path.dirname(file));
  let isReported = false;
  while (!tryLock(file)) {
    if (!isReported) onWait?.(readOwner(file)?.pid ?? 0);
    isReported = true;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  const beat = setInterval(() => touch(file), beatMs);
  beat.unref();
  try {
    return await work();
  } finally {
    clearInterval(beat);
    rmSync(file, { force: true });
  }
}

function tryLock(file: string): boolean {
  const aside = `${file}.${process.pid}.${randomBytes(4).toString('hex')}`;
  try {
    const owner: Owner = { pid: process.pid, started: processStart(process.pid) ?? '', host: hostname() };
    writeFileSync(aside, JSON.stringify(owner), { mode: 0o600 });
    linkSync(aside, file); // fails when the name exists, whole content at once
    return true;
  } catch (error) {
    if (!isExisting(error)) throw error;
  } finally {
    rmSync(aside, { force: true });
  }
  if (isStale(file)) removeStale(file, aside);
  return false;
}

/** Takes a stale lock away by renaming it. If another process was quicker and this is its new lock, gives that one back. */
function removeStale(file: string, aside: string): void {
  try {
    renameSync(file, aside);
    if (!isStale(aside)) linkSync(aside, file);
  } catch {
    // Gone already, or taken by a third process.
  } finally {
    rmSync(aside, { force: true });
  }
}

function isStale(file: string): boolean {
  const owner = readOwner(file);
  if (owner !== undefined && owner.host === hostname()) return !isAlive(owner);
  return existsSync(file) && Date.now() - statSync(file).mtimeMs > silentMs;
}

function isAlive({ pid, started }: Owner): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
  return process.platform !== 'linux' || started === '' || processStart(pid) === started;
}

/** When a process began, or undefined when it is gone or a zombie. */
function processStart(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

function readOwner(file: string): Owner | undefined {
  try {
    const parsed: unknown = JSON.parse(readFileSync(file, 'utf8'));
    return typeof parsed === 'object' && parsed !== null && 'pid' in parsed ? (parsed as Owner) : undefined;
  } catch {
    return undefined;
  }
}

function touch(file: string): void {
  try {
    const now = new Date();
    utimesSync(file, now, now);
  } catch {
    // The cache was removed under us; the work will say so.
  }
}

const isExisting = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'EEXIST';
