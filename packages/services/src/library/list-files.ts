import type { FileObject } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { cursorOrThrow, type Page, toPage } from '../ground/paging.js';
import { liveFiles } from './require-file.js';
import { toFileObject } from './to-file-object.js';

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
  const live = liveFiles(actor);
  const from = after
    ? cursorOrThrow(await s.db.file.findFirst({ where: { id: after, projectId: actor.projectId } }), after)
    : null;
  const beyond = order === 'desc' ? 'lt' : 'gt';
  const rows = await s.db.file.findMany({
    where: {
      AND: [
        live,
        purpose ? { purpose } : {},
        from
          ? {
              OR: [
                { createdAt: { [beyond]: from.createdAt } },
                { createdAt: from.createdAt, id: { [beyond]: from.id } },
              ],
            }
          : {},
      ],
    },
    orderBy: [{ createdAt: order }, { id: order }],
    take: limit + 1,
  });
  return toPage(rows.map(toFileObject), limit);
}
