import { randomUUID } from 'node:crypto';
import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { explain } from '@moraine/contract';
import { makeFolder } from '@moraine/contract/make-folder';
import { describeSize, freeBytes, isDiskFault } from '@moraine/services';

/** A folder that attempts write to, and what sentences call it. */
export interface DiskPlace {
  what: string;
  dir: string;
}

const PROBE_BYTES = 1024 ** 2;

/** The least that is free in any of the places; null where the system does not say. */
export async function leastFree(places: readonly DiskPlace[]): Promise<number | null> {
  const free = await Promise.all(places.map(({ dir }) => freeBytes(dir)));
  const known = free.filter((bytes) => bytes !== null);
  return known.length === 0 ? null : Math.min(...known);
}

/** Why nothing should be claimed now: a place with less than `reserveBytes` free; else null. */
export async function roomProblem(places: readonly DiskPlace[], reserveBytes: number): Promise<string | null> {
  for (const { what, dir } of places) {
    const free = await freeBytes(dir);
    if (free !== null && free < reserveBytes)
      return `storage_full: ${what} has ${describeSize(free)} free, at least ${describeSize(reserveBytes)} are needed.`;
  }
  return null;
}

/** Why nothing should be claimed yet, after a disk has ended an attempt: a place that a megabyte cannot be written to; else null. */
export async function writeProblem(places: readonly DiskPlace[]): Promise<string | null> {
  for (const { what, dir } of places) {
    const fault = await writeOnce(dir);
    if (fault) return `storage_full: ${what} takes no writes: ${fault}`;
  }
  return null;
}

/** Quotas and limits show only when something is written. */
async function writeOnce(dir: string): Promise<string | null> {
  const path = join(dir, `.probe-${randomUUID()}`);
  try {
    makeFolder(dir, 0o700);
    const file = await open(path, 'wx', 0o600);
    try {
      await file.writeFile(Buffer.alloc(PROBE_BYTES));
      await file.sync();
    } finally {
      await file.close();
    }
    return null;
  } catch (error) {
    return isDiskFault(error) ? explain(error) : null;
  } finally {
    await rm(path, { force: true }).catch(() => undefined);
  }
}
