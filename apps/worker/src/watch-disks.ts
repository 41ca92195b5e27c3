import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { type DiskPlace, leastFree, roomProblem, writeProblem } from './disk.js';

export interface DisksOptions {
  places: readonly DiskPlace[];
  /** What always stays free, in bytes; default 256 MiB. */
  reserveBytes?: number | undefined;
  /** How often a disk that is full or failed is looked at again. */
  probeEveryMs?: number | undefined;
  /** Ends the waiting. */
  signal: AbortSignal;
  /** The disks have become full, or have room again. */
  onChange(): Promise<void>;
  log: Logger;
}

export interface WatchedDisks {
  /** Why nothing can be stored now; null where something can. */
  fault(): string | null;
  /** Resolves when the disks have room and take what is written, or the signal is given. */
  untilRoom(): Promise<void>;
  /** Bytes that may be filled on the fullest of them; null where that cannot be known. */
  free(): Promise<number | null>;
  /** Something could not be stored. `untilRoom` waits until something can again. */
  fail(problem: string): Promise<void>;
}

/** Whether there is room for work on the disks that it needs. */
export function watchDisks({
  places,
  reserveBytes = 256 * 2 ** 20,
  probeEveryMs = 5_000,
  signal,
  onChange,
  log,
}: DisksOptions): WatchedDisks {
  let fault: string | null = null;

  const look = async (): Promise<void> => {
    // What was full is believed when it takes something again: quotas show in no other way.
    const problem = (await roomProblem(places, reserveBytes)) ?? (fault === null ? null : await writeProblem(places));
    const hasChanged = (problem === null) !== (fault === null);
    fault = problem;
    if (!hasChanged) return;
    if (problem === null) log.info('the disk has room again');
    else log.error({ problem }, 'nothing is claimed until the disk has room');
    await onChange();
  };

  return {
    fault: () => fault,
    async untilRoom() {
      while (!signal.aborted) {
        await look();
        if (fault === null) return;
        await sleep(probeEveryMs, undefined, { signal }).catch(() => undefined);
      }
    },
    async free() {
      const free = await leastFree(places);
      return free === null ? null : Math.max(0, free - reserveBytes);
    },
    async fail(problem) {
      fault = `storage_full: ${problem}`;
      await onChange();
    },
  };
}
