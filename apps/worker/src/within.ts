import { AppError, type AttemptEvent } from '@moraine/contract';

const MINUTE = 60_000;
/** Slower than any storage that runs should be kept on. */
const BYTES_A_MS = 2_000;

/** How long storing an event may take without an answer of the storage: by its bytes, and a quarter of an hour. */
export function storingMs(
  event: Pick<AttemptEvent, 'type'> & { sizeBytes?: number; exports?: { sizeBytes: number }[] },
): number {
  const bytes =
    (event.sizeBytes ?? 0) + (event.exports ?? []).reduce((sum, { sizeBytes }) => sum + (sizeBytes || 0), 0);
  return 15 * MINUTE + bytes / BYTES_A_MS;
}

/** Inputs that are copied from elsewhere come in files: the largest of a base is a shard of some gigabytes. */
export const FETCHING_MS = 60 * MINUTE;

/**
 * Waits for work on the storage that may hang, as a share of a network does whose server is gone. What hangs goes on hanging; nobody waits for it.
 * @throws AppError `storage` after so many milliseconds
 */
export async function within<T>(ms: number, what: string, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    const seconds = Math.round(ms / 1_000);
    const hint = 'Look whether the folder of blobs, or the share that it is on, still responds.';
    timer = setTimeout(() => reject(new AppError('storage', `${what} got no answer for ${seconds} s.`, { hint })), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
