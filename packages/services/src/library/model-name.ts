import { AppError } from '@moraine/contract';
import type { Actor } from '../ground/context.js';
import type { Prisma } from '../ground/db.js';

/** Bases, registered adapters and downloads share their names: until the transaction ends nobody else gives this one out. */
export async function lockModelName(
  tx: Prisma.TransactionClient,
  { projectId }: Pick<Actor, 'projectId'>,
  name: string,
): Promise<void> {
  await tx.$queryRaw`SELECT pg_advisory_xact_lock(hashtextextended(${`${projectId} model ${name}`}, 0))::text`;
}

export const nameTaken = (name: string): AppError =>
  new AppError('conflict', `Another model is called '${name}'.`, {
    param: 'name',
    hint: 'Take another name; the files of a model never change.',
  });

/** Of a name that a download holds, which is under way or has failed. */
export const nameHeld = ({ name, source, status }: { name: string; source: string; status: string }): AppError =>
  new AppError(
    'conflict',
    `'${name}' is the name of a download of ${source}, which ${status === 'error' ? 'has failed' : 'is under way'}.`,
    { param: 'name', hint: `Take another name, or delete the download: DELETE /v1/models/${name}.` },
  );
