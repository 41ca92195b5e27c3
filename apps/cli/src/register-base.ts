import { openAsBlob, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { AppError, type ModelObject } from '@moraine/contract';
import type { Client } from '@moraine/contract/client';
import { listNamedTemplates } from '@moraine/data/hub';
import { inRepo } from './paths.js';

/** Name under which the base in examples/base is registered: the one that every example names. */
export const SHIPPED_BASE = 'moraine-tiny';

/** What a base is made of. Pickled weights and anything that would be executed stay at home. */
const WANTED = /(\.safetensors|\.json|\.txt|\.model|\.jinja)$/;

/**
 * Registers a Hugging Face folder as a base model. Files are streamed from the disk; links are followed.
 * @throws AppError `invalid_base` when the folder is none, before anything is sent.
 */
export async function registerBase(client: Client, name: string, dir: string): Promise<ModelObject> {
  const folder = path.resolve(dir);
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory())
    throw new AppError('invalid_base', `${folder} is not a folder.`, {
      hint: 'Give the folder that holds config.json and *.safetensors, or a .tar, .tar.gz or .tgz of it.',
    });
  const files = [
    ...readdirSync(folder).filter((file) => WANTED.test(file) && statSync(path.join(folder, file)).isFile()),
    ...listNamedTemplates(folder),
  ];
  for (const [what, isThere] of [
    ['config.json', files.includes('config.json')],
    ['weights (*.safetensors)', files.some((file) => file.endsWith('.safetensors'))],
  ] as const)
    if (!isThere)
      throw new AppError('invalid_base', `${folder} holds no ${what}.`, {
        hint: 'A base is a Hugging Face folder with config.json, *.safetensors and its tokenizer.',
      });
  return sendBase(client, name, new Map(files.map((file) => [file, path.join(folder, file)])));
}

/** Registers files under their names, streamed from where they lie. */
export async function sendBase(client: Client, name: string, files: ReadonlyMap<string, string>): Promise<ModelObject> {
  const form = new FormData();
  form.append('name', name);
  for (const [filename, place] of files) form.append('files', await openAsBlob(place), filename);
  return client.call('createBase', { body: form });
}

/** Registers a folder under the name of the shipped base, unless there is one of that name. */
export async function ensureBase(client: Client, dir = inRepo('examples', 'base')): Promise<'registered' | 'present'> {
  const { data } = await client.call('listModels');
  if (data.some(({ id }) => id === SHIPPED_BASE)) return 'present';
  await registerBase(client, SHIPPED_BASE, dir);
  return 'registered';
}
