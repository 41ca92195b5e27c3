import { createReadStream, createWriteStream } from 'node:fs';
import { type FileHandle, mkdir, open } from 'node:fs/promises';
import path from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { crc32, createInflateRaw } from 'node:zlib';
import { EngineError } from '../error.js';

/** One file inside a zip archive (a wheel is one). */
export interface ZipEntry {
  /** Path with forward slashes, without leading slash or `..`. */
  name: string;
  sizeBytes: number;
  compressedBytes: number;
  method: 'stored' | 'deflate';
  crc32: number;
  /** Unix permission bits, 0 where the archive has none. */
  mode: number;
  headerOffset: number;
}

const endSignature = 0x06054b50;
const end64LocatorSignature = 0x07064b50;
const end64Signature = 0x06064b50;
const entrySignature = 0x02014b50;
const localSignature = 0x04034b50;
const unset32 = 0xffffffff;

function invalid(file: string, what: string): EngineError {
  return new EngineError(
    'zip_invalid',
    `${file} cannot be unpacked: ${what}.`,
    'Delete the file and install again; the download may be damaged.',
  );
}

/** Reads the central directory: every file of the archive, folders left out. Understands zip64. */
export async function listZip(file: string): Promise<ZipEntry[]> {
  const handle = await open(file, 'r');
  try {
    const fileBytes = (await handle.stat()).size;
    const { offset, sizeBytes, count } = await findDirectory(file, handle, fileBytes);
    if (offset + sizeBytes > fileBytes) throw invalid(file, 'its directory lies behind its end');
    const directory = await readAt(file, handle, offset, sizeBytes);
    const entries: ZipEntry[] = [];
    for (let at = 0, i = 0; i < count; i++) {
      if (at + 46 > directory.length || directory.readUInt32LE(at) !== entrySignature) {
        throw invalid(file, `entry ${i + 1} of its directory is damaged`);
      }
      const nameBytes = directory.readUInt16LE(at + 28);
      const extraBytes = directory.readUInt16LE(at + 30);
      const next = at + 46 + nameBytes + extraBytes + directory.readUInt16LE(at + 32);
      if (next > directory.length) throw invalid(file, `entry ${i + 1} of its directory is cut short`);
      const entry = readEntry(file, directory.subarray(at, next), nameBytes, extraBytes);
      if (!entry.name.endsWith('/')) entries.push(entry);
      at = next;
    }
    return entries;
  } finally {
    await handle.close();
  }
}

function readEntry(file: string, bytes: Buffer, nameBytes: number, extraBytes: number): ZipEntry {
  const name = bytes.toString('utf8', 46, 46 + nameBytes);
  if (name.startsWith('/') || name.includes('\\') || name.includes('\0') || name.split('/').includes('..')) {
    throw invalid(file, `the name ${JSON.stringify(name)} leaves the target folder`);
  }
  if ((bytes.readUInt16LE(8) & 1) === 1) throw invalid(file, `${name} is encrypted`);
  const method = bytes.readUInt16LE(10);
  if (method !== 0 && method !== 8) throw invalid(file, `${name} uses compression method ${method}`);
  let compressedBytes = bytes.readUInt32LE(20);
  let sizeBytes = bytes.readUInt32LE(24);
  let headerOffset = bytes.readUInt32LE(42);
  // The zip64 field holds, in this order, only those values that did not fit into 32 bits.
  const extra = bytes.subarray(46 + nameBytes, 46 + nameBytes + extraBytes);
  for (let at = 0; at + 4 <= extra.length; at += 4 + extra.readUInt16LE(at + 2)) {
    if (extra.readUInt16LE(at) !== 1) continue;
    let field = at + 4;
    const take = (value: number): number => {
      if (value !== unset32) return value;
      field += 8;
      return Number(extra.readBigUInt64LE(field - 8));
    };
    sizeBytes = take(sizeBytes);
    compressedBytes = take(compressedBytes);
    headerOffset = take(headerOffset);
  }
  return {
    name,
    sizeBytes,
    compressedBytes,
    method: method === 0 ? 'stored' : 'deflate',
    crc32: bytes.readUInt32LE(16),
    mode: (bytes.readUInt32LE(38) >>> 16) & 0o777,
    headerOffset,
  };
}

/**
 * Unpacks the entries that `wanted` accepts below `into`, two at a time, streaming: memory stays flat whatever their size.
 * Sizes and checksums are verified; permission bits are kept.
 * @returns the number of bytes written.
 */
export async function unzip(file: string, into: string, wanted: (name: string) => boolean): Promise<number> {
  const queue = (await listZip(file)).filter((entry) => wanted(entry.name));
  queue.sort((a, b) => a.sizeBytes - b.sizeBytes); // taken from the end: the largest first
  const handle = await open(file, 'r');
  try {
    let written = 0;
    const lane = async (): Promise<void> => {
      for (let entry = queue.pop(); entry !== undefined; entry = queue.pop()) {
        await extract(file, handle, entry, path.join(into, ...entry.name.split('/')));
        written += entry.sizeBytes;
      }
    };
    await Promise.all([lane(), lane()]);
    return written;
  } finally {
    await handle.close();
  }
}

async function extract(file: string, handle: FileHandle, entry: ZipEntry, target: string): Promise<void> {
  const local = await readAt(file, handle, entry.headerOffset, 30);
  if (local.readUInt32LE(0) !== localSignature) throw invalid(file, `the header of ${entry.name} is damaged`);
  const start = entry.headerOffset + 30 + local.readUInt16LE(26) + local.readUInt16LE(28);
  await mkdir(path.dirname(target), { recursive: true });
  let checksum = 0;
  let sizeBytes = 0;
  const check = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      checksum = crc32(chunk, checksum);
      sizeBytes += chunk.length;
      done(null, chunk);
    },
  });
  const out = createWriteStream(target, { flags: 'wx', mode: entry.mode === 0 ? 0o644 : entry.mode });
  if (entry.compressedBytes === 0) {
    await new Promise<void>((resolve, reject) => out.once('error', reject).end(resolve));
  } else {
    const source = createReadStream(file, {
      start,
      end: start + entry.compressedBytes - 1,
      highWaterMark: 1 << 20,
    });
    if (entry.method === 'stored') await pipeline(source, check, out);
    else await pipeline(source, createInflateRaw({ chunkSize: 1 << 20 }), check, out);
  }
  if (sizeBytes !== entry.sizeBytes || checksum !== entry.crc32) {
    throw invalid(file, `${entry.name} does not match its checksum (${sizeBytes} of ${entry.sizeBytes} bytes)`);
  }
}

async function findDirectory(
  file: string,
  handle: FileHandle,
  fileBytes: number,
): Promise<{ offset: number; sizeBytes: number; count: number }> {
  const tailBytes = Math.min(fileBytes, 22 + 65535);
  const tail = await readAt(file, handle, fileBytes - tailBytes, tailBytes);
  let at = tail.length - 22;
  while (at >= 0 && tail.readUInt32LE(at) !== endSignature) at--;
  if (at < 0) throw invalid(file, 'it has no end-of-directory record; it is not a zip archive or it is cut short');
  const small = {
    count: tail.readUInt16LE(at + 10),
    sizeBytes: tail.readUInt32LE(at + 12),
    offset: tail.readUInt32LE(at + 16),
  };
  const needs64 = small.count === 0xffff || small.sizeBytes === unset32 || small.offset === unset32;
  if (!needs64) return small;
  if (at < 20 || tail.readUInt32LE(at - 20) !== end64LocatorSignature)
    throw invalid(file, 'its zip64 locator is missing');
  const end64 = await readAt(file, handle, Number(tail.readBigUInt64LE(at - 20 + 8)), 56);
  if (end64.readUInt32LE(0) !== end64Signature) throw invalid(file, 'its zip64 record is damaged');
  return {
    count: Number(end64.readBigUInt64LE(32)),
    sizeBytes: Number(end64.readBigUInt64LE(40)),
    offset: Number(end64.readBigUInt64LE(48)),
  };
}

async function readAt(file: string, handle: FileHandle, position: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  for (let done = 0; done < length; ) {
    const { bytesRead } = await handle.read(bytes, done, length - done, position + done);
    if (bytesRead === 0) throw invalid(file, 'it ended while it was being read');
    done += bytesRead;
  }
  return bytes;
}
