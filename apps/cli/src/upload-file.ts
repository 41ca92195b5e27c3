import { openAsBlob, type Stats, statSync } from 'node:fs';
import path, { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { AppError, type FileObject, PART_BYTES_MAX } from '@moraine/contract';
import type { Client } from '@moraine/contract/client';
import { type Arguments, integer, type Option, text } from './args.js';
import { dataDirFor } from './paths.js';
import { progressLine } from './progress-line.js';
import { bytes } from './terminal.js';
import { uploadInParts } from './upload-parts.js';

export const PURPOSES = ['fine-tune', 'evals'] as const;
export type Purpose = (typeof PURPOSES)[number];

export const PART_OPTION: Option = {
  type: 'string',
  value: 'MB',
  help: 'Send the file in parts of so many MB, 1 to 64; default 16 for files over 64 MB, smaller ones whole. Cut off, the same command goes on behind the last part.',
};

const POLL_MS = 200;
const MB = 1024 ** 2;
const PRESET_MB = 16;

/** Uploads a file, streamed from the disk, large ones in parts, and waits for its verdict: `processed`, or `error` with its problems. */
export async function uploadFile(args: Arguments, client: Client, file: string, purpose: Purpose): Promise<FileObject> {
  const whole = path.resolve(file);
  const stats = statSync(whole, { throwIfNoEntry: false });
  if (!stats?.isFile())
    throw new AppError('not_found', `There is no file ${whole}.`, { hint: 'Name a JSONL file: one row a line.' });
  const partMb = integer(args, 'part-size', 1, PART_BYTES_MAX / MB);
  const isLarge = stats.size > PART_BYTES_MAX || (partMb !== undefined && stats.size > 0);
  let uploaded = isLarge
    ? await sendParts(args, client, { path: whole, stats, purpose, partBytes: (partMb ?? PRESET_MB) * MB })
    : await sendWhole(client, whole, purpose);
  while (uploaded.status === 'uploaded') {
    await sleep(POLL_MS);
    uploaded = await client.call('getFile', { params: { id: uploaded.id } });
  }
  return uploaded;
}

async function sendWhole(client: Client, file: string, purpose: Purpose): Promise<FileObject> {
  const form = new FormData();
  form.append('purpose', purpose);
  form.append('file', await openAsBlob(file), path.basename(file));
  return client.call('createFile', { body: form });
}

interface Large {
  path: string;
  stats: Stats;
  purpose: Purpose;
  partBytes: number;
}

async function sendParts(
  args: Arguments,
  client: Client,
  { path, stats, purpose, partBytes }: Large,
): Promise<FileObject> {
  const line = progressLine();
  const sent = { path, purpose, sizeBytes: stats.size, modifiedMs: stats.mtimeMs };
  const notesDir = join(dataDirFor(text(args, 'data')), 'uploads');
  const onProgress = (done: number): void => line.show(barOf(done, stats.size), '');
  return uploadInParts(client, sent, { partBytes, notesDir, onProgress }).finally(line.clear);
}

const CELLS = 30;

/** `███░░░  50 %  32.0 MB of 64.0 MB`. */
export function barOf(done: number, all: number): string {
  const full = Math.round((CELLS * done) / all);
  return `${'█'.repeat(full)}${'░'.repeat(CELLS - full)} ${String(Math.floor((100 * done) / all)).padStart(3)} %  ${bytes(done)} of ${bytes(all)}`;
}
