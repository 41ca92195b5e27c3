import { createHash } from 'node:crypto';
import { buffer, text } from 'node:stream/consumers';
import { AppError, type ModelObject, newId, refuseBaseName } from '@moraine/contract';
import { INDEX_FILE, type ModelConfig, parseModelConfig, totalParameters } from '@moraine/contract/plan';
import { checkTokenizerAside } from '@moraine/data';
import type { Actor, Services } from '../ground/context.js';
import { Prisma } from '../ground/db.js';
import { findRepeated, type Repeatable } from '../ground/find-repeated.js';
import type { BaseModel } from '../ground/generated/models.js';
import type { Upload, UploadedFile } from '../ground/upload.js';
import { assertBaseFilename } from './base-filename.js';
import { type BaseIdentity, baseFinder, baseHash } from './base-finder.js';
import { type BaseFiles, checkWeights } from './check-weights.js';
import { baseToModel } from './to-model-object.js';
import { tokenizerTexts } from './tokenizer-texts.js';

const SMALL_FILE_BYTES_MAX = 64 * 1024 ** 2;

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

  const config = await readJson(s, need(files, 'config.json'));
  const asked = parseModelConfig(config);
  need(files, 'tokenizer.json');
  await checkTokenizerAside(await tokenizerTexts(textReader(s, files)), asked.vocabSize);
  const model = await checkWeights(await openFiles(s, files), asked);

  const id = newId('base');
  const blobPrefix = `bases/${id}`;
  for (const [filename, file] of files) await s.blobs.move(file.blobKey, `${blobPrefix}/${filename}`);
  const sizeBytes = [...files.values()].reduce((sum, file) => sum + file.sizeBytes, 0);
  try {
    const row = await s.db.base.create({
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
    });
    return baseToModel(row);
  } catch (error) {
    await s.blobs.remove(blobPrefix);
    if (!(error instanceof Prisma.PrismaClientKnownRequestError && error.code === 'P2002')) throw error;
    // Another request was first; it may have sent the very same files.
    const winner = await findBase(s, actor, identity, repeatable);
    if (winner) return baseToModel(winner);
    throw error;
  }
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
  const named = await s.db.base.findFirst({ where: { projectId: actor.projectId, name, deletedAt: null } });
  if (named && named.sha256 !== sha256) throw taken(name);
  return named;
}

const taken = (name: string): AppError =>
  new AppError('conflict', `Another base model is called '${name}'.`, {
    param: 'name',
    hint: 'Take another name; the files of a base never change.',
  });

function byName(uploaded: readonly UploadedFile[]): Map<string, UploadedFile> {
  const files = new Map<string, UploadedFile>();
  for (const file of uploaded) {
    assertBaseFilename(file.filename);
    if (files.has(file.filename)) {
      throw new AppError('invalid_base', `The upload has two files named ${file.filename}.`, {
        param: 'files',
        hint: 'Send each file once.',
      });
    }
    files.set(file.filename, file);
  }
  return files;
}

function need(files: ReadonlyMap<string, UploadedFile>, filename: string): UploadedFile {
  const file = files.get(filename);
  if (file) return file;
  throw new AppError('invalid_base', `The upload has no ${filename}.`, {
    param: 'files',
    hint: `A base is a Hugging Face folder: config.json, tokenizer.json and .safetensors files; ${files.size} files came: ${[...files.keys()].slice(0, 10).join(', ') || 'none'}.`,
  });
}

/** config.json as runs are planned by it: not tied where the weights are not, which the folder keeps as it was sent. */
const storedConfig = (config: unknown, { tieEmbeddings }: ModelConfig): Prisma.InputJsonObject => ({
  ...(config as Prisma.InputJsonObject),
  ...(!tieEmbeddings && { tie_word_embeddings: false }),
});

async function openFiles(s: Services, files: ReadonlyMap<string, UploadedFile>): Promise<BaseFiles> {
  const indexFile = files.get(INDEX_FILE);
  return {
    names: [...files.keys()],
    index: indexFile && (await readJson(s, indexFile)),
    sizeOf: (file) => need(files, file).sizeBytes,
    read: async (file, start, end) => buffer(await s.blobs.open(need(files, file).blobKey, { start, end })),
  };
}

const textReader = (s: Services, files: ReadonlyMap<string, UploadedFile>) => async (name: string) => {
  const file = files.get(name);
  return file ? readText(s, file) : null;
};

async function readText(s: Services, file: UploadedFile): Promise<string> {
  if (file.sizeBytes > SMALL_FILE_BYTES_MAX) {
    throw new AppError(
      'invalid_base',
      `${file.filename} has ${file.sizeBytes} bytes, more than ${SMALL_FILE_BYTES_MAX}.`,
      { param: file.filename },
    );
  }
  return text(await s.blobs.open(file.blobKey));
}

async function readJson(s: Services, file: UploadedFile): Promise<unknown> {
  const json = await readText(s, file);
  try {
    return JSON.parse(json);
  } catch (cause) {
    throw new AppError('invalid_base', `${file.filename} is not JSON: ${String(cause)}.`, {
      param: file.filename,
      hint: 'Send the file as the model came with it.',
      cause,
    });
  }
}

/** sha256 over the sorted lines `name sha256`: the same as that of the stored folder. */
function folderHash(files: ReadonlyMap<string, UploadedFile>): string {
  const hash = createHash('sha256');
  const sorted = [...files].sort(([a], [b]) => (a < b ? -1 : 1));
  for (const [filename, { sha256 }] of sorted) hash.update(`${filename} ${sha256}\n`);
  return hash.digest('hex');
}
