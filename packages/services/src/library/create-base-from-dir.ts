import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { ModelObject } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { addToUpload, discardUpload, startUpload } from '../ground/upload.js';
import { createBase } from './create-base.js';

/** Registers a Hugging Face folder of this machine, as an upload of its files would. Hidden files and folders are left out. */
export async function createBaseFromDir(
  s: Services,
  actor: Actor,
  { name, dir }: { name: string; dir: string },
): Promise<ModelObject> {
  const upload = startUpload();
  try {
    for (const entry of await readdir(dir, { withFileTypes: true })) {
      if (!entry.isFile() || entry.name.startsWith('.')) continue;
      await addToUpload(s, upload, entry.name, createReadStream(join(dir, entry.name)), {
        sizeBytesMax: Number.MAX_SAFE_INTEGER,
      });
    }
    return await createBase(s, actor, { name, upload });
  } finally {
    await discardUpload(s, upload);
  }
}
