import type { FileObject } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { cursorOrThrow, type Page, toPage } from '../ground/paging.js';
import { readFiles } from './read-files.js';

export interface ListFiles {
  purpose?: string;
  limit: number;
  order: 'asc' | 'desc';
  after?: string;
}

/** Files of the caller's project by age. */
export async function listFiles(
  s: Services,
  actor: Actor,
  { purpose, limit, order, after }: ListFiles,
): Promise<Page<FileObject>> {
  const direction = order === 'desc' ? 'DESC' : 'ASC';
  const values: unknown[] = [];
  const put = (value: unknown): string => `$${values.push(value) + 1}`;
  const conditions = [purpose ? `AND purpose = ${put(purpose)}` : ''];
  if (after) {
    cursorOrThrow(await s.db.file.findFirst({ where: { id: after, projectId: actor.projectId } }), after);
    const place = `(SELECT created_at, id FROM files WHERE id = ${put(after)} AND project_id = $1)`;
    conditions.push(`AND (created_at, id) ${order === 'desc' ? '<' : '>'} ${place}`);
  }
  const rest = `${conditions.join(' ')} ORDER BY created_at ${direction}, id ${direction} LIMIT ${put(limit + 1)}`;
  return toPage(await readFiles(s, actor, rest, values), limit);
}
