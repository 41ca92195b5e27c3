import { randomUUID } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Services } from './context.js';

/** Runs `use` on a path that holds the bytes of a key: in place where the store is on this machine, else on a copy that is removed again. */
export async function withLocalFile<T>(s: Services, key: string, use: (path: string) => Promise<T>): Promise<T> {
  const here = s.blobs.localPath(key);
  if (here !== null) return use(here);
  const copy = join(tmpdir(), `moraine-${randomUUID()}`);
  try {
    await pipeline(await s.blobs.open(key), createWriteStream(copy, { mode: 0o600 }));
    return await use(copy);
  } finally {
    await rm(copy, { force: true });
  }
}
