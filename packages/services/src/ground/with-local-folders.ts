import { createWriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import { makeFolder } from '@moraine/contract/make-folder';
import type { Services } from './context.js';

/**
 * Runs `open` on folders that hold what is stored below prefixes: in place where the store is on this machine, else on copies that are removed
 * when the stream has ended, whichever way.
 */
export async function withLocalFolders(
  s: Services,
  prefixes: readonly string[],
  open: (dirs: readonly string[]) => Promise<Readable>,
): Promise<Readable> {
  const here = prefixes.map((prefix) => s.blobs.localPath(prefix)).filter((path) => path !== null);
  if (here.length === prefixes.length) return open(here);
  const copies = await mkdtemp(join(tmpdir(), 'moraine-'));
  const remove = () => rm(copies, { recursive: true, force: true });
  try {
    const dirs = await Promise.all(prefixes.map((prefix, i) => copyFolder(s, prefix, join(copies, String(i)))));
    const stream = await open(dirs);
    s.inBackground(
      'removing copies for a download',
      finished(stream)
        .catch(() => undefined)
        .then(remove),
    );
    return stream;
  } catch (error) {
    await remove();
    throw error;
  }
}

async function copyFolder(s: Services, prefix: string, dir: string): Promise<string> {
  for (const { path } of await s.blobs.list(prefix)) {
    const to = join(dir, path);
    makeFolder(dirname(to));
    await pipeline(await s.blobs.open(`${prefix}/${path}`), createWriteStream(to));
  }
  return dir;
}
