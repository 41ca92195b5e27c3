import { openAsBlob, statSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { AppError, type FileObject } from '@moraine/contract';
import type { Client } from '@moraine/contract/client';

export const PURPOSES = ['fine-tune', 'evals'] as const;
export type Purpose = (typeof PURPOSES)[number];

const POLL_MS = 200;

/** Uploads a file, streamed from the disk, and waits for its verdict: `processed`, or `error` with its problems. */
export async function uploadFile(client: Client, file: string, purpose: Purpose): Promise<FileObject> {
  const whole = path.resolve(file);
  if (!statSync(whole, { throwIfNoEntry: false })?.isFile())
    throw new AppError('not_found', `There is no file ${whole}.`, { hint: 'Name a JSONL file: one row a line.' });
  const form = new FormData();
  form.append('purpose', purpose);
  form.append('file', await openAsBlob(whole), path.basename(whole));
  let uploaded = await client.call('createFile', { body: form });
  while (uploaded.status === 'uploaded') {
    await sleep(POLL_MS);
    uploaded = await client.call('getFile', { params: { id: uploaded.id } });
  }
  return uploaded;
}
