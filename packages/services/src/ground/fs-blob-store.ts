import { createHash, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { cp, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, relative, resolve, sep } from 'node:path';
import type { Readable } from 'node:stream';
import { AppError } from '@moraine/contract';
import { makeFolder } from '@moraine/contract/make-folder';
import type { BlobEntry, BlobStore, StoredBlob } from './blob-store.js';
import { describeSize, isStorageFull, storageFull } from './storage-full.js';

/** Blobs as files below one folder that only its owner may enter. Written beside their place, flushed to disk, then renamed; the folder entry is flushed too. */
export function createFsBlobStore(rootDir: string): BlobStore {
  const root = resolve(rootDir);
  const at = (key: string): string => {
    const path = resolve(root, key);
    if (key === '' || !path.startsWith(root + sep))
      throw new AppError('internal', `Blob key '${key}' leaves the blob folder.`);
    return path;
  };
  const temporary = async (): Promise<string> => {
    const dir = join(root, '.incoming');
    makeFolder(dir, 0o700);
    return join(dir, randomUUID());
  };

  /** A disk without room is said as such, with what did not fit. */
  const orFull = async <T>(what: () => string, work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      throw isStorageFull(error) ? await storageFull(what(), root, error) : error;
    }
  };

  return {
    async put(key, stream, { sizeBytesMax = Number.POSITIVE_INFINITY } = {}) {
      const place = at(key);
      const written = { sizeBytes: 0 };
      const what = () => `An upload of at least ${describeSize(written.sizeBytes)}`;
      return orFull(what, async () => {
        const temp = await temporary();
        try {
          const stored = await writeStream(temp, stream, sizeBytesMax, written);
          await settle(temp, place);
          return stored;
        } finally {
          await rm(temp, { force: true });
        }
      });
    },

    async putDir(prefix, dir) {
      const place = at(prefix);
      const sizeBytes = (await filesBelow(dir)).reduce((sum, file) => sum + file.sizeBytes, 0);
      const what = () => `A folder of ${describeSize(sizeBytes)}`;
      return orFull(what, async () => {
        const temp = await temporary();
        try {
          await cp(dir, temp, { recursive: true, verbatimSymlinks: true });
          const files = await filesBelow(temp);
          for (const file of files) await flush(join(temp, file.path));
          await settle(temp, place);
          return { sizeBytes, sha256: await hashFolder(place, files) };
        } finally {
          await rm(temp, { recursive: true, force: true });
        }
      });
    },

    async open(key, range) {
      // Opened before it is returned: what is removed from then on is read to its end.
      const file = await open(at(key), 'r').catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return null;
        throw error;
      });
      if (file !== null && (await file.stat()).isFile()) return file.createReadStream(range);
      await file?.close();
      throw new AppError('not_found', `No stored bytes under '${key}'.`);
    },

    async size(key) {
      const found = await stat(at(key)).catch(() => null);
      return found?.isFile() ? found.size : null;
    },

    list: (prefix) => filesBelow(at(prefix)),

    async remove(prefix) {
      await rm(at(prefix), { recursive: true, force: true });
    },

    async move(from, to) {
      const [source, place] = [at(from), at(to)];
      await orFull(
        () => 'What was uploaded',
        () => settle(source, place),
      );
    },

    localPath: (key) => at(key),
  };
}

/** `written` counts what came, for whoever must say it when the rest did not fit. */
async function writeStream(
  path: string,
  stream: Readable,
  sizeBytesMax: number,
  written: { sizeBytes: number },
): Promise<StoredBlob> {
  const hash = createHash('sha256');
  const file = await open(path, 'wx', 0o600);
  try {
    for await (const piece of stream) {
      const bytes = typeof piece === 'string' ? Buffer.from(piece) : (piece as Buffer);
      written.sizeBytes += bytes.length;
      if (written.sizeBytes > sizeBytesMax) {
        throw new AppError('file_too_large', `The upload is larger than ${sizeBytesMax} bytes.`, {
          hint: 'Split it into smaller files, or raise MORAINE_UPLOAD_LIMIT_BYTES on the server.',
        });
      }
      hash.update(bytes);
      await file.writeFile(bytes);
    }
    await file.sync();
  } finally {
    await file.close();
  }
  return { sizeBytes: written.sizeBytes, sha256: hash.digest('hex') };
}

/** Renames into place. Two writers of the same key carry the same bytes, so the first one wins and the second is dropped. */
async function settle(source: string, place: string): Promise<void> {
  makeFolder(dirname(place), 0o700);
  try {
    await rename(source, place);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST')
      throw new AppError('storage', `Could not store ${place}: ${String(error)}.`, { cause: error });
  }
  await flush(dirname(place));
}

async function flush(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function filesBelow(dir: string): Promise<BlobEntry[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const found = await Promise.all(
    files.map(async (file) => {
      const { size, mtime } = await stat(file);
      return { path: relative(dir, file).replaceAll(sep, '/'), sizeBytes: size, modifiedAt: mtime };
    }),
  );
  return found.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** sha256 over the sorted lines `path sha256` of a folder's files. */
async function hashFolder(dir: string, files: readonly BlobEntry[]): Promise<string> {
  const lines = createHash('sha256');
  for (const { path } of files) lines.update(`${path} ${await hashFile(join(dir, path))}\n`);
  return lines.digest('hex');
}

/** sha256 of a file, hex. */
export async function hashFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(path)) hash.update(piece as Buffer);
  return hash.digest('hex');
}
