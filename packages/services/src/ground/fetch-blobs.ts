import { randomUUID } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { access, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { AppError } from '@moraine/contract';
import { makeFolder } from '@moraine/contract/make-folder';
import type { Services } from './context.js';

/** A stored folder on this machine: in place where the store is here, else kept at `place`. @throws AppError `storage` when it is gone. */
export async function fetchFolder(s: Services, prefix: string, place: string): Promise<string> {
  const here = s.blobs.localPath(prefix);
  if (here !== null) {
    if (await exists(here)) return here;
    throw gone('folder', prefix);
  }
  if (await exists(place)) return place;
  const entries = await s.blobs.list(prefix);
  if (entries.length === 0) throw gone('folder', prefix);
  const temporary = `${place}.${randomUUID()}`;
  try {
    for (const { path } of entries) await download(s, `${prefix}/${path}`, join(temporary, path));
    await settle(temporary, place);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
  return place;
}

/** A stored file on this machine: in place where the store is here, else kept at `place`. @throws AppError `storage` when it is gone. */
export async function fetchFile(s: Services, key: string, place: string): Promise<string> {
  const here = s.blobs.localPath(key);
  if (here !== null) {
    if (await exists(here)) return here;
    throw gone('file', key);
  }
  if (await exists(place)) return place;
  const temporary = `${place}.${randomUUID()}`;
  try {
    await download(s, key, temporary);
    await settle(temporary, place);
  } finally {
    await rm(temporary, { force: true });
  }
  return place;
}

async function download(s: Services, key: string, path: string): Promise<void> {
  makeFolder(dirname(path));
  await pipeline(await s.blobs.open(key), createWriteStream(path));
}

/** Two workers may fetch the same bytes; the first one to be done wins. */
async function settle(temporary: string, place: string): Promise<void> {
  makeFolder(dirname(place));
  await rename(temporary, place).catch(async (error: unknown) => {
    if (!(await exists(place))) throw error;
  });
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

const gone = (what: 'file' | 'folder', key: string): AppError =>
  new AppError('storage', `The stored ${what} ${key} is gone.`, {
    hint: 'Restore the blob storage from a copy, or upload it again.',
  });
