import { statSync } from 'node:fs';
import { AppError } from '@moraine/contract';
import type { Client } from '@moraine/contract/client';
import type { Arguments } from './args.js';
import { uploadFile } from './upload-file.js';

/** The id of a file: of one that is on this machine after its upload, else what was given. @throws AppError `invalid_file`. */
export async function fileId(
  args: Arguments,
  client: Client,
  file: string,
  purpose: 'fine-tune' | 'evals' = 'fine-tune',
): Promise<string> {
  if (/^file-[a-z0-9]+$/.test(file) && !statSync(file, { throwIfNoEntry: false })) return file;
  const uploaded = await uploadFile(args, client, file, purpose);
  if (uploaded.status === 'error')
    throw new AppError('invalid_file', `${file} was refused: ${uploaded.status_details ?? ''}`);
  return uploaded.id;
}
