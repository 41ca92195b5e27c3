import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { crc32, deflateRawSync } from 'node:zlib';
import { afterAll } from 'vitest';

/** A folder with a space in its name, removed after the file's tests. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'moraine engine '));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export interface ZipFile {
  name: string;
  data: Buffer;
  /** Default: deflate. */
  method?: 'stored' | 'deflate';
  mode?: number;
  /** Written into the archive instead of the right checksum. */
  wrongCrc?: number;
}

/** A zip archive as a wheel builder writes one. `zip64` puts every size and offset into zip64 fields. */
export function makeZip(files: ZipFile[], zip64 = false): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const { name, data, method = 'deflate', mode = 0o644, wrongCrc } of files) {
    const packed = method === 'deflate' ? deflateRawSync(data) : data;
    const nameBytes = Buffer.from(name);
    const crc = wrongCrc ?? crc32(data);
    const local = Buffer.alloc(30);
    local.writeUInt32LE(0x04034b50, 0);
    local.writeUInt16LE(0x0800, 6); // names are UTF-8
    local.writeUInt16LE(method === 'deflate' ? 8 : 0, 8);
    local.writeUInt32LE(crc, 14);
    local.writeUInt32LE(packed.length, 18);
    local.writeUInt32LE(data.length, 22);
    local.writeUInt16LE(nameBytes.length, 26);
    const extra = Buffer.alloc(zip64 ? 28 : 0);
    if (zip64) {
      extra.writeUInt16LE(1, 0);
      extra.writeUInt16LE(24, 2);
      extra.writeBigUInt64LE(BigInt(data.length), 4);
      extra.writeBigUInt64LE(BigInt(packed.length), 12);
      extra.writeBigUInt64LE(BigInt(offset), 20);
    }
    const entry = Buffer.alloc(46);
    entry.writeUInt32LE(0x02014b50, 0);
    entry.writeUInt16LE(0x0800, 8);
    entry.writeUInt16LE(method === 'deflate' ? 8 : 0, 10);
    entry.writeUInt32LE(crc, 16);
    entry.writeUInt32LE(zip64 ? 0xffffffff : packed.length, 20);
    entry.writeUInt32LE(zip64 ? 0xffffffff : data.length, 24);
    entry.writeUInt16LE(nameBytes.length, 28);
    entry.writeUInt16LE(extra.length, 30);
    entry.writeUInt32LE(((0o100000 | mode) << 16) >>> 0, 38);
    entry.writeUInt32LE(zip64 ? 0xffffffff : offset, 42);
    parts.push(local, nameBytes, packed);
    directory.push(entry, nameBytes, extra);
    offset += 30 + nameBytes.length + packed.length;
  }
  const directoryBytes = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(zip64 ? 0xffff : files.length, 10);
  end.writeUInt32LE(zip64 ? 0xffffffff : directoryBytes.length, 12);
  end.writeUInt32LE(zip64 ? 0xffffffff : offset, 16);
  const tail = zip64 ? zip64Tail(files.length, directoryBytes.length, offset) : Buffer.alloc(0);
  return Buffer.concat([...parts, directoryBytes, tail, end]);
}

function zip64Tail(count: number, sizeBytes: number, offset: number): Buffer {
  const tail = Buffer.alloc(76);
  tail.writeUInt32LE(0x06064b50, 0);
  tail.writeBigUInt64LE(44n, 4);
  tail.writeBigUInt64LE(BigInt(count), 24);
  tail.writeBigUInt64LE(BigInt(count), 32);
  tail.writeBigUInt64LE(BigInt(sizeBytes), 40);
  tail.writeBigUInt64LE(BigInt(offset), 48);
  tail.writeUInt32LE(0x07064b50, 56);
  tail.writeBigUInt64LE(BigInt(offset + sizeBytes), 64);
  tail.writeUInt32LE(1, 72);
  return tail;
}

/** `count` smooth numbers between -1 and 1, none of them zero. */
export const waves = (count: number, start = 0.1): Float32Array =>
  Float32Array.from({ length: count }, (_, i) => Math.sin(start + i * 0.7));

/** Largest difference relative to the larger of 1 and the largest value; NaN when lengths or non-finite values differ. */
export function farthest(a: ArrayLike<number> | undefined, b: ArrayLike<number> | undefined): number {
  if (a === undefined || b === undefined || a.length !== b.length) return Number.NaN;
  let [scale, difference] = [1, 0];
  for (let i = 0; i < b.length; i++) {
    const [left, right] = [Number(a[i]), Number(b[i])];
    if (Number.isFinite(right)) scale = Math.max(scale, Math.abs(right));
    if (!Object.is(left, right)) difference = Math.max(difference, Math.abs(left - right));
  }
  return difference / scale;
}
