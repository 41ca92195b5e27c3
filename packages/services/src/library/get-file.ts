import type { FileObject } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { requireFile } from './require-file.js';
import { toFileObject } from './to-file-object.js';

export async function getFile(s: Services, actor: Actor, id: string): Promise<FileObject> {
  return toFileObject(await requireFile(s, actor, id));
}
