import { AppError, nearest } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import type { BaseModel } from '../ground/generated/models.js';
import { downloadToModel } from './to-model-object.js';

/** The base that a run asks for by name. @throws AppError `not_found` with the nearest name that exists. */
export async function requireBase(s: Services, actor: Actor, name: string): Promise<BaseModel> {
  const find = () => s.db.base.findFirst({ where: { projectId: actor.projectId, name, deletedAt: null } });
  const base = (await find()) ?? (await refuseDownload(s, actor, name).then(find));
  if (base) return base;
  if (name.startsWith('ft:')) {
    throw new AppError('invalid_value', `'${name}' was fine-tuned; this asks for a base model.`, {
      param: 'model',
      hint: `Take its base, '${name.split(':')[1] ?? ''}'.`,
    });
  }
  const bases = await s.db.base.findMany({
    where: { projectId: actor.projectId, deletedAt: null },
    select: { name: true },
    orderBy: { name: 'asc' },
    take: 1_000,
  });
  const names = bases.map((one) => one.name);
  const near = nearest(name, names);
  const known =
    names.length > 0
      ? `Registered: ${names.slice(0, 10).join(', ')}.`
      : 'None is registered: npx moraine models add NAME DIR.';
  throw new AppError('not_found', `No base model '${name}'.`, {
    param: 'model',
    hint: near ? `Did you mean '${near}'?` : known,
  });
}

/** @throws AppError `not_ready` where that name is of a base that is not here yet, or could not come. */
async function refuseDownload(s: Services, { projectId }: Actor, name: string): Promise<void> {
  const row = await s.db.baseDownload.findUnique({ where: { projectId_name: { projectId, name } } });
  if (!row) return;
  const { status, source, error, download } = downloadToModel(row);
  const arrived = download?.bytes_total ? `: ${download.bytes} of ${download.bytes_total} bytes are here` : '';
  const what =
    status === 'error'
      ? `'${name}' could not be downloaded from ${source}: ${error?.message ?? 'the reason is not known'}`
      : `'${name}' is still being downloaded from ${source}${arrived}.`;
  throw new AppError('not_ready', what, { param: 'model', hint: `GET /v1/models/${name} says how far it is.` });
}
