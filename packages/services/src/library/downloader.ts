import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Services } from '../ground/context.js';
import type { BaseDownloadModel } from '../ground/generated/models.js';
import { carryOutDownload, type DownloadSettings } from './carry-out-download.js';

export interface DownloaderOptions extends Omit<DownloadSettings, 'holder' | 'leaseMs'> {
  /** Downloads at a time in this process. */
  atOnce?: number;
  intervalMs?: number;
  /** Another process goes on with a download that was not heard of for so long. */
  leaseMs?: number;
}

/**
 * Downloads what `downloadBase` asked for, in this process, until it is closed: what is under way then stays where it is and goes on in the next
 * process. Each download is one process' at a time, by a lease in its row.
 */
export function startDownloader(
  s: Services,
  { atOnce = 2, intervalMs = 1_000, leaseMs = 20_000, ...settings }: DownloaderOptions,
): { close(): Promise<void> } {
  const holder = randomUUID();
  const stop = new AbortController();
  const running = new Map<string, Promise<void>>();

  const begin = async (): Promise<void> => {
    while (running.size < atOnce && !stop.signal.aborted) {
      const row = await claim(s, { holder, leaseMs, except: [...running.keys()] });
      if (!row) return;
      const download = carryOutDownload(s, row, { ...settings, holder, leaseMs }, stop.signal)
        .catch((error: unknown) => s.log.warn({ err: error, download: row.id }, 'a download could not be settled'))
        .finally(() => running.delete(row.id));
      running.set(row.id, download);
    }
  };

  const rounds = (async () => {
    while (!stop.signal.aborted) {
      await begin().catch((error: unknown) => s.log.debug({ err: error }, 'downloads could not be looked for now'));
      await sleep(intervalMs, undefined, { signal: stop.signal }).catch(() => undefined);
    }
  })();

  return {
    async close() {
      stop.abort();
      await rounds;
      await Promise.all(running.values());
    },
  };
}

/** Takes the oldest download that no process holds. */
async function claim(
  s: Services,
  { holder, leaseMs, except }: { holder: string; leaseMs: number; except: string[] },
): Promise<BaseDownloadModel | null> {
  const { rows } = await s.pg.query<{ id: string }>(
    `UPDATE base_downloads SET holder = $1, lease_until = now() + $2 * interval '1 millisecond' WHERE id = (
       SELECT id FROM base_downloads
       WHERE status = 'processing' AND (lease_until IS NULL OR lease_until < now()) AND NOT id = ANY($3)
       ORDER BY created_at, id LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id`,
    [holder, leaseMs, except],
  );
  const id = rows[0]?.id;
  return id === undefined ? null : s.db.baseDownload.findUnique({ where: { id } });
}
