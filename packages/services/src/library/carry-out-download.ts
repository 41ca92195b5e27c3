import { stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { AppError, explain } from '@moraine/contract';
import { fetchBaseInto, openHub, type Patience, parseHubSource } from '@moraine/data/hub';
import type { Services } from '../ground/context.js';
import { hashFile } from '../ground/fs-blob-store.js';
import type { BaseDownloadModel } from '../ground/generated/models.js';
import { isServerAway } from '../ground/server-away.js';
import type { Upload } from '../ground/upload.js';
import { createBase } from './create-base.js';
import { downloadPrefix } from './download-prefix.js';

export interface DownloadSettings {
  /** The hub of the operator, `HF_ENDPOINT` and `HF_TOKEN`. */
  hub: { endpoint?: string | undefined; token?: string | undefined; patience?: Partial<Patience> };
  /** The largest base, all of its files together. */
  sizeBytesMax: number;
  /** This process, in rows. */
  holder: string;
  leaseMs: number;
}

/** How far a download is, as its row shows it. */
interface Progress {
  commit: string | null;
  bytes: number;
  bytesTotal: number | null;
  waiting: string | null;
}

/**
 * Downloads and registers one base while this process holds its row, and writes what came of it. `stop` leaves it as it is for the next process. A
 * row that was deleted ends it and takes its files away.
 */
export async function carryOutDownload(
  s: Services,
  row: BaseDownloadModel,
  settings: DownloadSettings,
  stop: AbortSignal,
): Promise<void> {
  const lost = new AbortController();
  const done = new AbortController();
  const progress: Progress = { commit: row.commit, bytes: Number(row.bytes), bytesTotal: null, waiting: null };
  const lease = keepLease(s, row.id, settings, progress, { done: done.signal, lost });
  const outcome = await fetchAndRegister(s, row, settings, progress, AbortSignal.any([stop, lost.signal])).then(
    () => null,
    (error: unknown) => ({ error }),
  );
  done.abort();
  await lease;
  const prefix = downloadPrefix(row.id);
  if (outcome === null) {
    s.log.info({ model: row.name, source: row.source }, 'a base was downloaded and registered');
    await s.blobs.remove(prefix);
  } else if (stop.aborted || isOurs(outcome.error)) await release(s, row.id, settings.holder);
  else if ((await s.db.baseDownload.findUnique({ where: { id: row.id } })) === null) await s.blobs.remove(prefix);
  else if (!lost.signal.aborted) await fail(s, row, settings.holder, outcome.error);
}

/** A server of ours is away for now; that the hub is comes as an `AppError`. */
const isOurs = (error: unknown): boolean => !(error instanceof AppError) && isServerAway(error);

async function fetchAndRegister(
  s: Services,
  { id, projectId, name, source }: BaseDownloadModel,
  { hub, sizeBytesMax }: DownloadSettings,
  progress: Progress,
  signal: AbortSignal,
): Promise<void> {
  const prefix = downloadPrefix(id);
  const { commit, files } = await fetchBaseInto(
    openHub({ ...hub, signal, onWait: (reason) => Object.assign(progress, { waiting: reason }) }),
    parseHubSource(source),
    {
      dir: localDir(s, prefix),
      onPlan: ({ commit, sizeBytes }) => {
        refuseTooLarge(source, sizeBytes, sizeBytesMax);
        Object.assign(progress, { commit, bytesTotal: sizeBytes });
      },
      onProgress: ({ bytes }) => Object.assign(progress, { bytes, waiting: null }),
    },
  );
  progress.bytes = progress.bytesTotal ?? progress.bytes;
  const upload: Upload = { prefix, files: [] };
  for (const [filename, path] of files) {
    signal.throwIfAborted();
    const { size: sizeBytes } = await stat(path);
    upload.files.push({ filename, blobKey: `${prefix}/${filename}`, sizeBytes, sha256: await hashFile(path) });
  }
  const origin = { source, commit, downloadId: id };
  await createBase(s, { projectId, keyId: null }, { name, upload, origin });
}

/** Where the files come to lie: below the blobs, so that they are renamed into their place and not copied. */
function localDir(s: Services, prefix: string): string {
  const dir = s.blobs.localPath(prefix);
  if (dir !== null) return dir;
  throw new AppError('unavailable', 'This server keeps its files on another machine, and downloads none.', {
    hint: 'Download it where you are, and send it: npx moraine models add NAME hf:ORG/REPO.',
  });
}

function refuseTooLarge(source: string, sizeBytes: number, sizeBytesMax: number): void {
  if (sizeBytes <= sizeBytesMax) return;
  throw new AppError(
    'file_too_large',
    `${source} has ${sizeBytes} bytes, more than the ${sizeBytesMax} that this server takes.`,
    { param: 'source', hint: 'Take a smaller model, or raise MORAINE_BASE_LIMIT_BYTES where the API is started.' },
  );
}

/** Renews the lease and shows the progress, until `done`. Aborts `lost` when the row is gone or another's, or could not be renewed in time. */
async function keepLease(
  s: Services,
  id: string,
  { holder, leaseMs }: DownloadSettings,
  progress: Progress,
  { done, lost }: { done: AbortSignal; lost: AbortController },
): Promise<void> {
  let heldUntil = performance.now() + leaseMs;
  while (!done.aborted && !lost.signal.aborted) {
    await sleep(Math.min(1_000, leaseMs / 4), undefined, { signal: done }).catch(() => undefined);
    const { commit, bytes, bytesTotal, waiting } = progress;
    const asked = performance.now();
    try {
      const { rowCount } = await s.pg.query(
        `UPDATE base_downloads SET lease_until = now() + $3 * interval '1 millisecond', commit = $4, bytes = $5,
           bytes_total = $6, waiting = $7 WHERE id = $1 AND holder = $2`,
        [id, holder, leaseMs, commit, bytes, bytesTotal, waiting],
      );
      if (rowCount === 0) lost.abort();
      heldUntil = asked + leaseMs;
    } catch (error) {
      s.log.debug({ err: error, download: id }, 'the lease of a download could not be renewed now');
      if (performance.now() > heldUntil) lost.abort();
    }
  }
}

const release = (s: Services, id: string, holder: string): Promise<unknown> =>
  s.pg.query('UPDATE base_downloads SET lease_until = NULL WHERE id = $1 AND holder = $2', [id, holder]);

/** Codes after which what has arrived is of use to another try. */
const GOES_ON = ['unavailable', 'storage', 'internal'];

async function fail(s: Services, { id, name, source }: BaseDownloadModel, holder: string, error: unknown) {
  const known = error instanceof AppError ? error : null;
  if (known === null) s.log.error({ err: error, download: id }, 'a download failed');
  const code = known?.code ?? 'internal';
  const message = known ? explain(known) : 'Something went wrong on our side; the log of the API says what.';
  s.log.warn({ model: name, source, code }, `a base could not be downloaded: ${message}`);
  if (!GOES_ON.includes(code)) await s.blobs.remove(downloadPrefix(id));
  await s.pg.query(
    `UPDATE base_downloads SET status = 'error', error = $3, waiting = NULL, lease_until = NULL, finished_at = now()
     WHERE id = $1 AND holder = $2`,
    [id, holder, JSON.stringify({ code, message, param: known?.param ?? null })],
  );
}
