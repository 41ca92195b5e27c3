import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

/** Bytes of a file, from `begin` up to `end`. */
export interface Range {
  begin: number;
  end: number;
}

/** Head of a fat binary: magic, version 1, head of 16 bytes. Behind it its size, then the entries, one an architecture. */
const MAGIC = Buffer.from([0x50, 0xed, 0x55, 0xba, 1, 0, 16, 0]);
const HEAD = 16;
/** Of an entry's head: kind (2), attributes (2), size of the head (4), size of the code (8), 12 bytes more, the architecture (4). */
const ENTRY_HEAD = 32;
const COMPILED = 2;
/** Fat binaries follow each other, so the next one is looked for near by first. */
const NEAR = 1 << 12;
const CHUNK = 1 << 26;

/**
 * Where a library holds compiled code for cards older than `leastArch` (70 is compute capability 7.0). The driver takes from each fat
 * binary the entry that fits its card and reads no other, so the code of these entries may be zeros; their heads stay.
 */
export function oldGpuCode(file: string, leastArch: number): Range[] {
  const handle = openSync(file, 'r');
  try {
    const { size } = fstatSync(handle);
    const ranges: Range[] = [];
    for (let at = findMagic(handle, 0, size); at !== null; ) {
      const end = at + HEAD + Number(read(handle, at, HEAD).readBigUInt64LE(8));
      // Bytes that only look like a head are passed over.
      const found = end <= size ? entriesOf(handle, at + HEAD, end) : null;
      for (const { arch, kind, begin, end: last } of found ?? [])
        if (kind === COMPILED && arch < leastArch) ranges.push({ begin, end: last });
      at = findMagic(handle, found === null ? at + MAGIC.length : end, size);
    }
    return ranges;
  } finally {
    closeSync(handle);
  }
}

interface Entry extends Range {
  kind: number;
  arch: number;
}

/** The entries between two places, or null when they do not fill the space between them. */
function entriesOf(handle: number, begin: number, end: number): Entry[] | null {
  const entries: Entry[] = [];
  let at = begin;
  while (at + ENTRY_HEAD <= end) {
    const head = read(handle, at, ENTRY_HEAD);
    const [headBytes, codeBytes] = [head.readUInt32LE(4), Number(head.readBigUInt64LE(8))];
    if (headBytes < ENTRY_HEAD) return null;
    const code = at + headBytes;
    entries.push({ kind: head.readUInt16LE(0), arch: head.readUInt32LE(28), begin: code, end: code + codeBytes });
    at = code + codeBytes;
  }
  return at === end ? entries : null;
}

function read(handle: number, at: number, bytes: number): Buffer {
  const buffer = Buffer.alloc(bytes);
  readSync(handle, buffer, 0, bytes, at);
  return buffer;
}

function findMagic(handle: number, from: number, size: number): number | null {
  let length = NEAR;
  for (let at = from; at < size; ) {
    const bytes = read(handle, at, Math.min(length + MAGIC.length - 1, size - at));
    const found = bytes.indexOf(MAGIC);
    if (found >= 0) return at + found;
    at += length;
    length = CHUNK;
  }
  return null;
}

/** A stream's bytes with zeros in these ranges, which are in order. */
export async function* withZeros(bytes: AsyncIterable<Buffer>, ranges: readonly Range[]): AsyncGenerator<Buffer> {
  let [at, next] = [0, 0];
  for await (const chunk of bytes) {
    const end = at + chunk.length;
    for (let i = next; i < ranges.length; i++) {
      const range = ranges[i];
      if (range === undefined || range.begin >= end) break;
      chunk.fill(0, Math.max(0, range.begin - at), Math.min(chunk.length, range.end - at));
      if (range.end <= end) next = i + 1;
    }
    at = end;
    yield chunk;
  }
}
