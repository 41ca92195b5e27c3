import { createHash } from 'node:crypto';
import { createReadStream, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { constants, createBrotliCompress, createGzip } from 'node:zlib';
import { type Pack, pack } from 'tar-stream';
import { type Range, withZeros } from './old-gpu-code.js';

/** A file, a text or a link of an archive; `name` is its path after installation. */
export type Entry = { name: string; isProgram?: boolean } & (
  | { from: string; zeros?: readonly Range[] }
  | { text: string }
  | { link: string }
);

export interface Archive {
  name: string;
  /** gzip for what the target's own tools unpack; brotli for what Node unpacks, as dense as zstd -12 and in every Node. */
  packing: 'gzip' | 'brotli';
  entries: readonly Entry[];
}

export interface Part {
  file: string;
  bytes: number;
  sha256: string;
}

const CHUNK = 1 << 20;
/** Measured on the CUDA libraries: 6 packs as zstd -12 does and as fast; 9 takes ten times as long for 2 % less. */
const QUALITY = 6;
/** 128 MiB: what the unpacking side holds in memory. */
const WINDOW_BITS = 27;

/** Writes an archive's entries as numbered parts into `folder`. The same entries give the same bytes. */
export async function packArchive(
  { name, packing, entries }: Archive,
  folder: string,
  partBytes: number,
  onBytes: (bytes: number) => void = () => {},
): Promise<Part[]> {
  const parts: Part[] = [];
  const tar = pack();
  const ending = packing === 'gzip' ? 'gz' : 'br';
  const compressor =
    packing === 'gzip'
      ? createGzip({ level: 9, chunkSize: CHUNK })
      : createBrotliCompress({
          chunkSize: CHUNK,
          params: {
            [constants.BROTLI_PARAM_QUALITY]: QUALITY,
            [constants.BROTLI_PARAM_LARGE_WINDOW]: 1,
            [constants.BROTLI_PARAM_LGWIN]: WINDOW_BITS,
          },
        });
  await Promise.all([
    addAll(tar, entries, onBytes),
    pipeline(tar, compressor, (packed: AsyncIterable<Buffer>) =>
      writeParts(packed, partBytes, (number) => path.join(folder, `${name}.tar.${ending}.${number}`), parts),
    ),
  ]);
  return parts;
}

async function addAll(tar: Pack, entries: readonly Entry[], onBytes: (bytes: number) => void): Promise<void> {
  try {
    for (const entry of entries) await add(tar, entry, onBytes);
    tar.finalize();
  } catch (error) {
    tar.destroy(error as Error);
  }
}

async function add(tar: Pack, entry: Entry, onBytes: (bytes: number) => void): Promise<void> {
  const { name, isProgram = false } = entry;
  const header = { name, mtime: new Date(0), uid: 0, gid: 0, mode: isProgram ? 0o755 : 0o644 };
  if ('link' in entry) return void tar.entry({ ...header, type: 'symlink', linkname: entry.link });
  if ('text' in entry) return void tar.entry(header, entry.text);
  const sized = { ...header, size: statSync(entry.from).size };
  const bytes: AsyncIterable<Buffer> = createReadStream(entry.from, { highWaterMark: CHUNK });
  const from = entry.zeros === undefined ? bytes : withZeros(bytes, entry.zeros);
  const counted = async function* (): AsyncGenerator<Buffer> {
    for await (const chunk of from) {
      onBytes(chunk.length);
      yield chunk;
    }
  };
  await pipeline(Readable.from(counted(), { objectMode: false }), tar.entry(sized));
}

async function writeParts(
  packed: AsyncIterable<Buffer>,
  partBytes: number,
  fileOf: (number: string) => string,
  parts: Part[],
): Promise<void> {
  const begin = async () => {
    const file = fileOf(String(parts.length).padStart(3, '0'));
    return { file, handle: await open(file, 'w'), bytes: 0, hash: createHash('sha256') };
  };
  let part = await begin();
  const end = async (): Promise<void> => {
    await part.handle.close();
    parts.push({ file: path.basename(part.file), bytes: part.bytes, sha256: part.hash.digest('hex') });
  };
  for await (const chunk of packed) {
    for (let at = 0; at < chunk.length; ) {
      if (part.bytes === partBytes) {
        await end();
        part = await begin();
      }
      const piece = chunk.subarray(at, at + partBytes - part.bytes);
      await part.handle.write(piece);
      part.hash.update(piece);
      part.bytes += piece.length;
      at += piece.length;
    }
  }
  await end();
}
