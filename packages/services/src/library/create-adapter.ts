import { AppError, type ModelObject, newId, refuseBaseName } from '@moraine/contract';
import { ADAPTER_CONFIG_NAMES } from '@moraine/contract/methods/forms';
import { adapterConfigName } from '@moraine/contract/plan';
import { checkAdapterAside } from '@moraine/data';
import type { Actor, Services } from '../ground/context.js';
import type { Prisma } from '../ground/db.js';
import { findRepeated, type Repeatable } from '../ground/find-repeated.js';
import type { Upload } from '../ground/upload.js';
import { type AdapterIdentity, adapterFinder, adapterHash } from './adapter-finder.js';
import { nameTaken } from './model-name.js';
import { registerFolder } from './register-folder.js';
import { requireBase } from './require-base.js';
import { adapterToModel } from './to-model-object.js';
import { byName, folderHash, namesOf, readJson, withStoredFiles } from './uploaded-files.js';

export interface CreateAdapter {
  /** How runs call it. Letters, digits, `.`, `_` and `-`. */
  name: string;
  /** The registered base that it was trained on; absent: the one that its configuration names. */
  model?: string | undefined;
  /** Each file of its folder: a configuration and weights, in PEFT's layout or a method's own. */
  upload: Upload;
}

/**
 * Registers an adapter that was made elsewhere, for runs to start from. Its configuration, the name and shape of each tensor and its numbers are
 * checked before the row exists. The same files under the same name again, or under the same idempotency key, answer the adapter that is there.
 * @throws AppError `unsupported_format` for what cannot be trained on, `invalid_value` for one of another base, `conflict` for a taken name.
 */
export async function createAdapter(
  s: Services,
  actor: Actor,
  { name, model, upload }: CreateAdapter,
  repeatable: Repeatable = {},
): Promise<ModelObject> {
  refuseBaseName(name);
  const files = byName(upload.files);
  const configName = adapterConfigName([...files.keys()]);
  const configFile = configName === undefined ? undefined : files.get(configName);
  if (configFile === undefined)
    throw new AppError(
      'unsupported_format',
      `The upload is no adapter: it has neither ${ADAPTER_CONFIG_NAMES.join(' nor ')}.`,
      {
        param: 'files',
        hint: `Send the files of an adapter's folder, as PEFT or Moraine wrote it; ${namesOf(files)}.`,
      },
    );
  const json = objectOf(await readJson(s, configFile, 'unsupported_format'), configFile.filename);
  const base = await requireBase(s, actor, model ?? baseNameOf(json));
  const identity = { name, sha256: folderHash(files), baseId: base.id };
  const existing = await findAdapter(s, actor, identity, repeatable);
  if (existing) return adapterToModel(existing, base);

  const config = await withStoredFiles(s, files, (stored) =>
    checkAdapterAside({ files: stored, configName: configFile.filename, json, baseConfig: base.config }),
  );
  const id = newId('adapter');
  const blobPrefix = `adapters/${id}`;
  const row = await registerFolder(s, actor, {
    name,
    files,
    blobPrefix,
    insert: (tx, sizeBytes) =>
      tx.uploadedAdapter.create({
        data: {
          id,
          ...identity,
          projectId: actor.projectId,
          idempotencyKey: repeatable.idempotencyKey ?? null,
          blobPrefix,
          sizeBytes,
          config: config as unknown as Prisma.InputJsonObject,
        },
      }),
    findSame: () => findAdapter(s, actor, identity, repeatable),
  });
  return adapterToModel(row, base);
}

/** The adapter that this request registered, or another of the same files under the same name; null where there is none. */
async function findAdapter(s: Services, actor: Actor, identity: AdapterIdentity, repeatable: Repeatable) {
  const id = await s.db.$transaction((tx) =>
    findRepeated(tx, actor, adapterHash(identity), repeatable, adapterFinder(tx, actor, identity)),
  );
  if (id !== null) return s.db.uploadedAdapter.findUniqueOrThrow({ where: { id } });
  const where = { projectId: actor.projectId, name: identity.name, deletedAt: null };
  const named = await s.db.uploadedAdapter.findFirst({ where });
  const isOther = named && adapterHash(named) !== adapterHash(identity);
  if (isOther || (await s.db.base.findFirst({ where }))) throw nameTaken(identity.name);
  return named;
}

function objectOf(json: unknown, filename: string): Record<string, unknown> {
  if (typeof json === 'object' && json !== null && !Array.isArray(json)) return json as Record<string, unknown>;
  throw new AppError('unsupported_format', `${filename} holds no JSON object.`, { param: filename });
}

function baseNameOf({ base_model_name_or_path: named }: Record<string, unknown>): string {
  if (typeof named === 'string' && named !== '') return named;
  throw new AppError('invalid_value', 'The adapter does not say which base it was trained on.', {
    param: 'model',
    hint: 'Name the registered base in the field `model` (on the command line --base).',
  });
}
