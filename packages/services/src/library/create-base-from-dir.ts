import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { ModelObject } from '@moraine/contract';
import { listNamedTemplates } from '@moraine/data';
import type { Actor, Services } from '../ground/context.js';
import { addToUpload, discardUpload, startUpload } from '../ground/upload.js';
import { createBase } from './create-base.js';

/** Registers a Hugging Face folder of this machine, as an upload of its files would. Hidden files and folders are left out, but for that of named chat templates. */
export async function createBaseFromDir(
  s: Services,
  actor: Actor,
  { name, dir }: { name: string; dir: string },
): Promise<ModelObject> {
  const upload = startUpload();
  try {
    const entries = await readdir(dir, { withFileTypes: true });
    const files = entries.filter((entry) => entry.isFile() && !entry.name.startsWith('.')).map(({ name }) => name);
    for (const file of [...files, ...listNamedTemplates(dir)]) {
      await addToUpload(s, upload, file, createReadStream(join(dir, file)), { sizeBytesMax: Number.MAX_SAFE_INTEGER });
    }
    return await createBase(s, actor, { name, upload });
  } finally {
    await discardUpload(s, upload);
  }
}
