import { AppError, type ModelObject, newId, refuseBaseName } from '@moraine/contract';
import { type CheckedBase, checkBaseAside } from '@moraine/data';
import type { Actor, Services } from '../ground/context.js';
import type { Prisma } from '../ground/db.js';
import { findRepeated, type Repeatable } from '../ground/find-repeated.js';
import type { BaseModel } from '../ground/generated/models.js';
import type { Upload } from '../ground/upload.js';
import { type BaseIdentity, baseFinder, baseHash } from './base-finder.js';
import { nameTaken } from './model-name.js';
import { registerFolder } from './register-folder.js';
import { baseToModel } from './to-model-object.js';
import { byName, folderHash, namesOf, type UploadedFolder, withStoredFiles } from './uploaded-files.js';

export interface CreateBase {
  /** How runs call it. Letters, digits, `.`, `_` and `-`. */
  name: string;
  /** Each file of the Hugging Face folder. */
  upload: Upload;
  /** Where the files were downloaded from; absent where the caller sent them. */
  origin?: { source: string; commit: string; downloadId: string } | undefined;
}

/**
 * Registers a base model. Everything is checked before the row exists: file types, config.json, tokenizer and chat template, and each
 * tensor's name, type, shape and numbers.
 * The same files under the same name again, or under the same idempotency key, answer the base that is there.
 * @throws AppError `invalid_base` naming file or tensor; `invalid_value` for the name; `conflict` when another base has it, or the key made
 * another.
 */
export async function createBase(
  s: Services,
  actor: Actor,
  { name, upload, origin }: CreateBase,
  repeatable: Repeatable = {},
): Promise<ModelObject> {
  refuseBaseName(name);
  const files = byName(upload.files);
  const identity = { name, sha256: folderHash(files) };
  const existing = await findBase(s, actor, identity, repeatable);
  if (existing) return baseToModel(existing);

  for (const filename of ['config.json', 'tokenizer.json']) refuseWithout(files, filename);
  const checked = await withStoredFiles(s, files, checkBaseAside);
  const id = newId('base');
  const blobPrefix = `bases/${id}`;
  const row = await registerFolder(s, actor, {
    name,
    files,
    blobPrefix,
    downloadId: origin?.downloadId,
    insert: (tx, sizeBytes) =>
      tx.base.create({
        data: {
          id,
          ...identity,
          projectId: actor.projectId,
          idempotencyKey: repeatable.idempotencyKey ?? null,
          blobPrefix,
          sizeBytes,
          config: storedConfig(checked),
          parameters: checked.parameters,
          context: checked.context,
          source: origin?.source ?? null,
          commit: origin?.commit ?? null,
        },
      }),
    findSame: () => findBase(s, actor, identity, repeatable),
  });
  return baseToModel(row);
}

/** The base that this request registered, or another of the same files under the same name; null where there is none. */
async function findBase(
  s: Services,
  actor: Actor,
  identity: BaseIdentity,
  repeatable: Repeatable,
): Promise<BaseModel | null> {
  const id = await s.db.$transaction((tx) =>
    findRepeated(tx, actor, baseHash(identity), repeatable, baseFinder(tx, actor, identity)),
  );
  if (id !== null) return s.db.base.findUniqueOrThrow({ where: { id } });
  const { name, sha256 } = identity;
  const where = { projectId: actor.projectId, name, deletedAt: null };
  const named = await s.db.base.findFirst({ where });
  if (named && named.sha256 !== sha256) throw nameTaken(name);
  if (await s.db.uploadedAdapter.findFirst({ where })) throw nameTaken(name);
  return named;
}

function refuseWithout(files: UploadedFolder, filename: string): void {
  if (files.has(filename)) return;
  throw new AppError('invalid_base', `The upload has no ${filename}.`, {
    param: 'files',
    hint: `A base is a Hugging Face folder: config.json, tokenizer.json and .safetensors files; ${namesOf(files)}.`,
  });
}

/** config.json as runs are planned by it: not tied where the weights are not, which the folder keeps as it was sent. */
const storedConfig = ({ config, tieEmbeddings }: CheckedBase): Prisma.InputJsonObject => ({
  ...(config as Prisma.InputJsonObject),
  ...(!tieEmbeddings && { tie_word_embeddings: false }),
});
