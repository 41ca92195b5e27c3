import { AppError, type ModelObject, newId, refuseBaseName } from '@moraine/contract';
import { hubSourceText, parseHubSource } from '@moraine/data/hub';
import type { Actor, Services } from '../ground/context.js';
import { Prisma } from '../ground/db.js';
import { lockModelName, nameHeld, nameTaken } from './model-name.js';
import { baseToModel, downloadToModel } from './to-model-object.js';

/** Downloads of a project that may wait or run at a time. */
const DOWNLOADS_MAX = 32;

export interface DownloadBase {
  /** How runs call it. Letters, digits, `.`, `_` and `-`. */
  name: string;
  /** `hf:ORG/REPO` or `hf:ORG/REPO@REV`: a model of the hub that the operator has set, and of no other. */
  source: string;
}

/**
 * Asks for a base of the hub; an API process downloads it (`startDownloader`). The same name and source again is the same base, whatever has become
 * of it; where the download failed, it goes on.
 * @throws AppError `invalid_value` for name or source, `conflict` for a name that another model has, `rate_limited` beyond 32 at a time.
 */
export async function downloadBase(
  s: Services,
  actor: Actor,
  { name, source: text }: DownloadBase,
): Promise<ModelObject> {
  refuseBaseName(name);
  const source = hubSourceText(parseHubSource(text));
  const { projectId } = actor;
  return s.db.$transaction(async (tx) => {
    await lockModelName(tx, actor, name);
    const where = { projectId, name, deletedAt: null };
    const base = await tx.base.findFirst({ where });
    if (base?.source === source) return baseToModel(base);
    if (base ?? (await tx.uploadedAdapter.findFirst({ where }))) throw nameTaken(name);
    const held = await tx.baseDownload.findUnique({ where: { projectId_name: { projectId, name } } });
    if (held && held.source !== source) throw nameHeld(held);
    if (held?.status === 'processing') return downloadToModel(held);
    await refuseTooMany(tx, projectId);
    const data = { status: 'processing', error: Prisma.DbNull, waiting: null, finishedAt: null };
    const row = held
      ? await tx.baseDownload.update({ where: { id: held.id }, data })
      : await tx.baseDownload.create({ data: { id: newId('download'), projectId, name, source } });
    return downloadToModel(row);
  });
}

async function refuseTooMany(tx: Prisma.TransactionClient, projectId: string): Promise<void> {
  const count = await tx.baseDownload.count({ where: { projectId, status: 'processing' } });
  if (count < DOWNLOADS_MAX) return;
  throw new AppError('rate_limited', `${count} bases are being downloaded already.`, {
    hint: 'Wait for some of them: GET /v1/models shows how far they are.',
  });
}
