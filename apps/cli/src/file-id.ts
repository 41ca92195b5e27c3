import { statSync } from 'node:fs';
import { AppError } from '@moraine/contract';
import type { Client } from '@moraine/contract/client';
import { PLAIN_SUITE } from '@moraine/contract/suites';
import type { Arguments } from './args.js';
import { uploadFile } from './upload-file.js';

const isId = (file: string): boolean => /^file-[a-z0-9]+$/.test(file) && !statSync(file, { throwIfNoEntry: false });

/** The id of a file to train on: of one that is on this machine after its upload, else what was given. @throws AppError `invalid_file`. */
export async function fileId(args: Arguments, client: Client, file: string): Promise<string> {
  return isId(file) ? file : uploadRows(args, client, file, 'fine-tune');
}

/** The same of a file with rows of a suite. Only plain rows must be rows to train on: what others hold, the worker reads. */
export async function suiteFileId(args: Arguments, client: Client, file: string, suite: string): Promise<string> {
  if (isId(file) || suite !== PLAIN_SUITE) return plainFileId(args, client, file);
  return uploadRows(args, client, file, 'evals');
}

/** The same of a file that holds no rows to train on. */
export const plainFileId = async (args: Arguments, client: Client, file: string): Promise<string> =>
  isId(file) ? file : (await uploadFile(args, client, file, 'evals')).id;

async function uploadRows(
  args: Arguments,
  client: Client,
  file: string,
  purpose: 'fine-tune' | 'evals',
): Promise<string> {
  const uploaded = await uploadFile(args, client, file, purpose);
  if (uploaded.status !== 'error') return uploaded.id;
  throw new AppError('invalid_file', `${file} was refused: ${uploaded.status_details ?? ''}`);
}
