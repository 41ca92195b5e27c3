import { buffer } from 'node:stream/consumers';
import { AppError, type ModelObject, newId, refuseBaseName } from '@moraine/contract';
import { INDEX_FILE, type ModelConfig, parseModelConfig, totalParameters } from '@moraine/contract/plan';
import { checkTokenizerAside } from '@moraine/data';
import type { Actor, Services } from '../ground/context.js';
import type { Prisma } from '../ground/db.js';
import { findRepeated, type Repeatable } from '../ground/find-repeated.js';
import type { BaseModel } from '../ground/generated/models.js';
import type { Upload, UploadedFile } from '../ground/upload.js';
import { type BaseIdentity, baseFinder, baseHash } from './base-finder.js';
import { type BaseFiles, checkWeights } from './check-weights.js';
import { nameTaken, registerFolder } from './register-folder.js';
import { baseToModel } from './to-model-object.js';
import { tokenizerTexts } from './tokenizer-texts.js';
import { byName, folderHash, namesOf, readJson, readText, type UploadedFolder } from './uploaded-files.js';

export interface CreateBase {
  /** How runs call it. Letters, digits, `.`, `_` and `-`. */
  name: string;
  /** Each file of the Hugging Face folder. */
  upload: Upload;
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
  { name, upload }: CreateBase,
  repeatable: Repeatable = {},
): Promise<ModelObject> {
  refuseBaseName(name);
  const files = byName(upload.files);
  const identity = { name, sha256: folderHash(files) };
  const existing = await findBase(s, actor, identity, repeatable);
  if (existing) return baseToModel(existing);

  const config = await readJson(s, need(files, 'config.json'), 'invalid_base');
  const asked = parseModelConfig(config);
  need(files, 'tokenizer.json');
  await checkTokenizerAside(await tokenizerTexts(textReader(s, files)), asked.vocabSize);
  const model = await checkWeights(await openFiles(s, files), asked);

  const id = newId('base');
  const blobPrefix = `bases/${id}`;
  const row = await registerFolder(s, actor, {
    name,
    files,
    blobPrefix,
    insert: (tx, sizeBytes) =>
      tx.base.create({
        data: {
          id,
          ...identity,
          projectId: actor.projectId,
          idempotencyKey: repeatable.idempotencyKey ?? null,
          blobPrefix,
          sizeBytes,
          config: storedConfig(config, model),
          parameters: totalParameters(model),
          context: model.maxPositions,
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

function need(files: UploadedFolder, filename: string): UploadedFile {
  const file = files.get(filename);
  if (file) return file;
  throw new AppError('invalid_base', `The upload has no ${filename}.`, {
    param: 'files',
    hint: `A base is a Hugging Face folder: config.json, tokenizer.json and .safetensors files; ${namesOf(files)}.`,
  });
}

/** config.json as runs are planned by it: not tied where the weights are not, which the folder keeps as it was sent. */
const storedConfig = (config: unknown, { tieEmbeddings }: ModelConfig): Prisma.InputJsonObject => ({
  ...(config as Prisma.InputJsonObject),
  ...(!tieEmbeddings && { tie_word_embeddings: false }),
});

async function openFiles(s: Services, files: UploadedFolder): Promise<BaseFiles> {
  const indexFile = files.get(INDEX_FILE);
  return {
    names: [...files.keys()],
    index: indexFile && (await readJson(s, indexFile, 'invalid_base')),
    sizeOf: (file) => need(files, file).sizeBytes,
    read: async (file, start, end) => buffer(await s.blobs.open(need(files, file).blobKey, { start, end })),
  };
}

const textReader = (s: Services, files: UploadedFolder) => async (name: string) => {
  const file = files.get(name);
  return file ? readText(s, file, 'invalid_base') : null;
};
