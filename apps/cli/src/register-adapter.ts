import { openAsBlob, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import type { ModelObject } from '@moraine/contract';
import type { Client } from '@moraine/contract/client';
import { adapterConfigName, noAdapter, requireForm } from '@moraine/contract/plan';

/** Whether a folder holds an adapter and no model: a merged model may have one beside it. */
export function isAdapterFolder(dir: string): boolean {
  const names = statSync(dir, { throwIfNoEntry: false })?.isDirectory() ? readdirSync(dir) : [];
  return adapterConfigName(names) !== undefined && !names.includes('config.json');
}

/**
 * Registers the adapter in a folder, its configuration and weights alone, for runs to start from.
 * @throws AppError `not_found`, `unsupported_format` when it is none that is read, before anything is sent.
 */
export async function registerAdapter(
  client: Client,
  { name, dir, base }: { name: string; dir: string; base: string | undefined },
): Promise<ModelObject> {
  const configName = adapterConfigName(readdirSync(dir));
  if (configName === undefined) throw noAdapter(dir);
  const file = path.join(dir, configName);
  const { weightsName } = requireForm(configName, JSON.parse(readFileSync(file, 'utf8')), file);
  const form = new FormData();
  form.append('name', name);
  if (base !== undefined) form.append('model', base);
  for (const filename of [configName, weightsName])
    if (readdirSync(dir).includes(filename)) form.append('files', await openAsBlob(path.join(dir, filename)), filename);
  return client.call('createAdapter', { body: form });
}
