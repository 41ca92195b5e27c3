import { createReadStream, openAsBlob, statSync } from 'node:fs';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { AppError, type ModelObject } from '@moraine/contract';
import type { Client } from '@moraine/contract/client';
import { adapterConfigName } from '@moraine/contract/plan';
import { extract } from 'tar-stream';

/** The endings by which the API knows a tar. */
const TAR = /\.(tar|tgz|tar\.gz)$/i;

/** Whether this names a tar, there or not: a folder may be called anything. */
export const isTar = (source: string): boolean =>
  TAR.test(source) && !statSync(source, { throwIfNoEntry: false })?.isDirectory();

/**
 * Whether a tar holds an adapter or a base, by the names of its files; it is read no further than the config.json of a base.
 * @throws AppError `not_found` where there is none, or it holds neither; `invalid_request` where it cannot be unpacked.
 */
export async function kindOfTar(file: string): Promise<'adapter' | 'base'> {
  const whole = path.resolve(file);
  if (!statSync(whole, { throwIfNoEntry: false })?.isFile())
    throw new AppError('not_found', `There is no file ${whole}.`, {
      hint: 'Name a .tar, .tar.gz or .tgz, or a folder.',
    });
  const names: string[] = [];
  for await (const name of namesIn(whole)) {
    if (name === 'config.json') return 'base';
    names.push(name);
  }
  if (adapterConfigName(names) !== undefined) return 'adapter';
  throw new AppError('invalid_base', `${whole} holds neither config.json nor the configuration of an adapter.`, {
    hint: 'A base is config.json, *.safetensors and its tokenizer; an adapter is adapter_config.json and its weights.',
  });
}

/** Sends a tar of a base or an adapter as it is; the server unpacks it. */
export async function registerTar(
  client: Client,
  { kind, name, file, base }: { kind: 'adapter' | 'base'; name: string; file: string; base?: string | undefined },
): Promise<ModelObject> {
  const form = new FormData();
  form.append('name', name);
  if (base !== undefined) form.append('model', base);
  form.append('files', await openAsBlob(path.resolve(file)), path.basename(file));
  return client.call(kind === 'adapter' ? 'createAdapter' : 'createBase', { body: form });
}

/** Names of the files in a tar, without their folder, as they come. */
async function* namesIn(file: string): AsyncGenerator<string> {
  const entries = extract();
  const unpacked = /\.tar$/i.test(file) ? [entries] : [createGunzip(), entries];
  // What goes wrong is thrown by `entries`, too.
  pipeline([createReadStream(file), ...unpacked]).catch(() => {});
  try {
    for await (const entry of entries) {
      entry.resume();
      if (entry.header.type === 'file') yield path.posix.basename(entry.header.name);
    }
  } catch (error) {
    throw new AppError(
      'invalid_request',
      `${file} cannot be unpacked (${error instanceof Error ? error.message : error}).`,
      {
        hint: 'Pack the files of one folder: tar -cf adapter.tar -C FOLDER . ; .tar.gz is taken, too.',
      },
    );
  }
}
