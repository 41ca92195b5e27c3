import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { AppError } from '@moraine/contract';
import { isNamedTemplate } from '@moraine/data';
import { extract } from 'tar-stream';
import type { Services } from '../ground/context.js';
import { addToUpload, type Upload } from '../ground/upload.js';
import { assertBaseFilename } from './base-filename.js';

const TAR = /\.(tar|tgz|tar\.gz)$/i;
const ENTRIES_MAX = 2_000;
/** What a tar may have beside its files: heads, long names, and what fills its last block. */
const SPARE_BYTES = 64 * 2 ** 20;

export interface AddFile {
  /** As the caller called it. */
  filename: string;
  stream: Readable;
  /** Of the file, or of all that a tar holds, unpacked. */
  sizeBytesMax: number;
}

/**
 * Adds what came of a model's folder: a file of it, or the whole of it as one tar, which may be gzipped and may have one folder around its files.
 * Hidden files of a tar are left out, as other programs write them there for themselves. Returns the bytes that were stored.
 * @throws AppError `invalid_base` for a file that no model has; `invalid_request` for what is no tar; `file_too_large`.
 */
export async function addModelFile(s: Services, upload: Upload, file: AddFile): Promise<{ sizeBytes: number }> {
  const { filename, stream, sizeBytesMax } = file;
  if (TAR.test(filename)) return unpack(s, upload, file);
  assertBaseFilename(filename);
  return addToUpload(s, upload, filename, stream, { sizeBytesMax });
}

async function unpack(s: Services, upload: Upload, { filename, stream, sizeBytesMax }: AddFile) {
  const entries = extract();
  const folders = new Set<string>();
  let sizeBytes = 0;
  let count = 0;
  const store = async (): Promise<void> => {
    for await (const entry of entries) {
      const { name, type, size = 0 } = entry.header;
      sizeBytes += size;
      count++;
      if (count > ENTRIES_MAX) throw noTar(filename, `has more than ${ENTRIES_MAX} entries`);
      // What is left out counts, too: a small gzip may hold a great deal of it.
      if (sizeBytes > sizeBytesMax) throw tooLarge(filename, sizeBytesMax);
      const [folder, base] = splitName(name);
      if (type === 'directory' || base === '' || base.startsWith('.')) {
        entry.resume();
        continue;
      }
      if (type !== 'file') throw noTar(filename, `has '${name}', which is a ${type} and no file`);
      folders.add(folder);
      if (folders.size > 1) throw noTar(filename, `has files in several folders: ${[...folders].join(', ')}`);
      assertBaseFilename(base);
      await addToUpload(s, upload, base, Readable.from(entry), { sizeBytesMax: size });
    }
  };
  const gunzip = /\.tar$/i.test(filename) ? [] : [createGunzip()];
  let broken: unknown = null;
  /** Remembers a failure of what comes in, a form that breaks off say. One of the tar ends this, too, and is none of the stream. */
  async function* incoming(): AsyncGenerator<Buffer> {
    try {
      yield* stream;
    } catch (error) {
      if (error === stream.errored) broken = error;
      throw error;
    }
  }
  let unpackedBytes = 0;
  /** Behind its end, a small gzip may hold a great deal of nothing. */
  const counting = new Transform({
    transform(piece: Buffer, _encoding, done) {
      unpackedBytes += piece.length;
      const isTooMuch = unpackedBytes - sizeBytes > SPARE_BYTES;
      done(isTooMuch ? noTar(filename, `holds more than ${SPARE_BYTES} bytes beside its files`) : null, piece);
    },
  });
  // Both must have ended before what was stored is given up; the first to fail ends the other.
  const outcomes = await Promise.allSettled([
    pipeline([Readable.from(incoming()), ...gunzip, counting, entries]),
    store().catch((error: unknown) => {
      entries.destroy();
      throw error;
    }),
  ]);
  const errors = outcomes.flatMap((one) => (one.status === 'rejected' ? [one.reason as unknown] : []));
  const [first] = errors;
  if (first !== undefined) {
    const known = errors.find((error) => error instanceof AppError) ?? broken;
    throw known ?? noTar(filename, `cannot be unpacked (${first instanceof Error ? first.message : String(first)})`);
  }
  if (count === 0) throw noTar(filename, 'is empty');
  return { sizeBytes };
}

/** `./folder/file` as its folder and its name; a chat template with a name of its own is named with the folder that it always has. */
function splitName(name: string): [folder: string, base: string] {
  const parts = name.split('/').filter((part) => part !== '.' && part !== '');
  const at = isNamedTemplate(parts.slice(-2).join('/')) ? -2 : -1;
  return [`${parts.slice(0, at).join('/')}/`, parts.slice(at).join('/')];
}

const tooLarge = (filename: string, sizeBytesMax: number): AppError =>
  new AppError('file_too_large', `${filename} holds more than the ${sizeBytesMax} bytes that this server takes.`, {
    param: 'files',
    hint: 'Leave out what is not of the model, or raise MORAINE_BASE_LIMIT_BYTES where the API is started.',
  });

const noTar = (filename: string, what: string): AppError =>
  new AppError('invalid_request', `${filename} ${what}.`, {
    param: 'files',
    hint: 'Pack the files of one folder: tar -cf adapter.tar -C FOLDER . ; .tar.gz is taken, too.',
  });
