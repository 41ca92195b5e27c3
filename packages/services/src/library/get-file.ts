import type { FileObject } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { readFiles } from './read-files.js';
import { fileNotFound } from './require-file.js';

/** A file of the caller's project. @throws AppError `not_found`. */
export async function getFile(s: Services, actor: Actor, id: string): Promise<FileObject> {
  const [file] = await readFiles(s, actor, 'AND id = $2', [id]);
  if (!file) throw fileNotFound(id);
  return file;
}
