import type { Readable } from 'node:stream';
import type { Actor, Services } from '../ground/context.js';
import { requireFile } from './require-file.js';

/** The bytes of a file as they were uploaded. */
export async function openFile(
  s: Services,
  actor: Actor,
  id: string,
): Promise<{ filename: string; sizeBytes: number; stream: Readable }> {
  const file = await requireFile(s, actor, id);
  return { filename: file.filename, sizeBytes: Number(file.sizeBytes), stream: await s.blobs.open(file.blobKey) };
}
