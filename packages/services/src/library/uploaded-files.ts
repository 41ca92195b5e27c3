import { createHash } from 'node:crypto';
import { text } from 'node:stream/consumers';
import { AppError, type ErrorCode } from '@moraine/contract';
import { parseUserJson, type StoredFile } from '@moraine/data';
import type { Services } from '../ground/context.js';
import type { UploadedFile } from '../ground/upload.js';
import { withLocalFile } from '../ground/with-local-file.js';
import { assertBaseFilename } from './base-filename.js';

/** Of a file that is read at once, between requests: those that come with adapters have some KB. */
const SMALL_FILE_BYTES_MAX = 256 * 1024;

/** The files of a folder that was sent, by name. */
export type UploadedFolder = ReadonlyMap<string, UploadedFile>;

/** @throws AppError `invalid_base` for a file that may not come, or came twice. */
export function byName(uploaded: readonly UploadedFile[]): UploadedFolder {
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

/** The names of what came, for a sentence. */
export const namesOf = (files: UploadedFolder): string =>
  `${files.size} files came: ${[...files.keys()].slice(0, 10).join(', ') || 'none'}`;

/** The JSON of a small file. @throws AppError of this code where it is large, no JSON, or nested too deep. */
export async function readJson(s: Services, file: UploadedFile, code: ErrorCode): Promise<unknown> {
  if (file.sizeBytes > SMALL_FILE_BYTES_MAX) {
    throw new AppError(code, `${file.filename} has ${file.sizeBytes} bytes, more than ${SMALL_FILE_BYTES_MAX}.`, {
      param: file.filename,
    });
  }
  return parseUserJson(await text(await s.blobs.open(file.blobKey)), file.filename, code);
}

/** Runs `use` on paths that hold the bytes of the files. */
export function withStoredFiles<T>(
  s: Services,
  files: UploadedFolder,
  use: (files: readonly StoredFile[]) => Promise<T>,
): Promise<T> {
  const all = [...files.values()];
  const withPaths = (paths: readonly StoredFile[]): Promise<T> => {
    const next = all[paths.length];
    if (next === undefined) return use(paths);
    const { filename: name, sizeBytes, blobKey } = next;
    return withLocalFile(s, blobKey, (path) => withPaths([...paths, { name, path, sizeBytes }]));
  };
  return withPaths([]);
}

/** Takes the files over, all or none. Returns the bytes of all. */
export async function moveFolder(s: Services, files: UploadedFolder, prefix: string): Promise<number> {
  try {
    for (const [filename, file] of files) await s.blobs.move(file.blobKey, `${prefix}/${filename}`);
  } catch (error) {
    await s.blobs.remove(prefix);
    throw error;
  }
  return [...files.values()].reduce((sum, file) => sum + file.sizeBytes, 0);
}

/** sha256 over the sorted lines `name sha256`: the same as that of the stored folder. */
export function folderHash(files: UploadedFolder): string {
  const hash = createHash('sha256');
  const sorted = [...files].sort(([a], [b]) => (a < b ? -1 : 1));
  for (const [filename, { sha256 }] of sorted) hash.update(`${filename} ${sha256}\n`);
  return hash.digest('hex');
}
