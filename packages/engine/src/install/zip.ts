import { createWriteStream } from 'node:fs';
import path from 'node:path';
import { PassThrough, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { crc32, createInflateRaw } from 'node:zlib';
import { makeFolder } from '@moraine/contract/make-folder';
import { type Entry, openPromise, type ZipFile } from 'yauzl';
import { EngineError } from '../error.js';

/**
 * Unpacks the files of a zip archive (a wheel is one) that `wanted` accepts below `into`, two at a time, streaming: memory stays flat
 * whatever their size. Sizes and checksums are verified, permission bits are kept, names that leave the folder are refused.
 * @returns the number of bytes written.
 * @throws EngineError `zip_invalid` when the archive is damaged or holds such a name.
 */
export async function unzip(file: string, into: string, wanted: (name: string) => boolean): Promise<number> {
  let zip: ZipFile | undefined;
  try {
    zip = await openPromise(file, { autoClose: false, strictFileNames: true });
    return await extractAll(zip, into, wanted);
  } catch (error) {
    // What the operating system reports, a full disk for example, is not the archive's fault.
    if (!(error instanceof Error) || 'syscall' in error) throw error;
    throw new EngineError(
      'zip_invalid',
      `${file} cannot be unpacked: ${error.message}.`,
      'Delete the file and install again; the download may be damaged.',
    );
  } finally {
    zip?.close();
  }
}

async function extractAll(zip: ZipFile, into: string, wanted: (name: string) => boolean): Promise<number> {
  const queue: Entry[] = [];
  for await (const entry of zip.eachEntry())
    if (!entry.fileName.endsWith('/') && wanted(entry.fileName)) queue.push(entry);
  const written = queue.reduce((sum, { uncompressedSize }) => sum + uncompressedSize, 0);
  queue.sort((a, b) => a.uncompressedSize - b.uncompressedSize); // taken from the end: the largest first
  const lane = async (): Promise<void> => {
    for (let entry = queue.pop(); entry !== undefined; entry = queue.pop())
      await extract(zip, entry, path.join(into, ...entry.fileName.split('/')));
  };
  await Promise.all([lane(), lane()]);
  return written;
}

async function extract(zip: ZipFile, entry: Entry, target: string): Promise<void> {
  makeFolder(path.dirname(target));
  if (!entry.canDecodeFileData()) throw new Error(`${entry.fileName} is encrypted or packed in an unknown way`);
  // Inflated here, a megabyte at a time: by itself yauzl takes 16 KB at a time and 1.6 times as long.
  const packed = await zip.openReadStreamPromise(entry, { decodeFileData: false });
  const inflate = entry.compressionMethod === 0 ? new PassThrough() : createInflateRaw({ chunkSize: 1 << 20 });
  let checksum = 0;
  let sizeBytes = 0;
  const check = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      checksum = crc32(chunk, checksum);
      sizeBytes += chunk.length;
      done(null, chunk);
    },
  });
  const mode = (entry.externalFileAttributes >>> 16) & 0o777 || 0o644; // 0 where the archive has none
  await pipeline(packed, inflate, check, createWriteStream(target, { flags: 'wx', mode }));
  if (sizeBytes !== entry.uncompressedSize || checksum !== entry.crc32)
    throw new Error(`${entry.fileName} does not match its checksum (${sizeBytes} of ${entry.uncompressedSize} bytes)`);
}
