import { setTimeout as sleep } from 'node:timers/promises';
import { AppError, ERROR_CODES, type ErrorCode, type ModelObject } from '@moraine/contract';
import type { Client } from '@moraine/contract/client';
import { progressLine } from './progress-line.js';
import { bytes } from './terminal.js';

const POLL_MS = 500;

/**
 * Has the server download a model of its hub and waits until it is registered. Ending this command does not end the download.
 * @throws AppError what the server says where it cannot be downloaded
 */
export async function downloadOnServer(client: Client, name: string, source: string): Promise<ModelObject> {
  const line = progressLine();
  let model = await client.call('createBase', { body: { name, source } });
  try {
    while (model.status === 'processing') {
      line.show(sentenceOf(model), model.download?.waiting ?? model.commit ?? '');
      await sleep(POLL_MS);
      model = await client.call('getModel', { params: { model: name } });
    }
  } finally {
    line.clear();
  }
  if (model.status === 'ready') return model;
  const { code = '', message = 'It could not be downloaded.', param } = model.error ?? {};
  throw new AppError(code in ERROR_CODES ? (code as ErrorCode) : 'internal', message, { param: param ?? undefined });
}

function sentenceOf({ source, download }: ModelObject): string {
  const { bytes: done = 0, bytes_total: all = null, waiting = null } = download ?? {};
  const arrived = all === null ? 'the hub is asked' : `${bytes(done)} of ${bytes(all)}`;
  return `The server downloads ${source}: ${waiting ?? arrived}`;
}
