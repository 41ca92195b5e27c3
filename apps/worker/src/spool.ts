import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  openSync,
  readdirSync,
  readSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { deserialize, serialize } from 'node:v8';
import { makeFolder } from '@moraine/contract/make-folder';

/** What waits, in order: taken from the front, put at the end. */
export interface Spool<T> {
  push(item: T): void;
  /** The first items, at most so many. */
  first(count: number): T[];
  /** Removes the first items. */
  drop(count: number): void;
  size(): number;
  /** What it holds on disk. */
  sizeBytes(): number;
  /** True while nobody should put more in: its limit is reached, or the disk refuses more. */
  isFull(): boolean;
  /** Ends it; what waits stays on disk for the next `openSpool`. */
  close(): void;
  /** Ends it and removes what waits. */
  remove(): void;
}

export interface SpoolLimits {
  /** Bytes on disk from which on it is full. */
  limitBytes: number;
  /** Items that memory holds; more are read again when their turn comes. */
  windowItems: number;
  /** Bytes of one file; a file whose items were all taken is removed. */
  fileBytes: number;
}
const LIMITS: SpoolLimits = { limitBytes: 1024 ** 3, windowItems: 2_000, fileBytes: 4 * 1024 ** 2 };

interface Part {
  path: string;
  fd: number;
  sizeBytes: number;
  /** Items of it that were not taken yet. */
  left: number;
}
interface Held<T> {
  item: T;
  /** The file that it is in; null where the disk refused it. */
  part: Part | null;
}

const HEAD_BYTES = 4;

/** Items in memory only, for what need not outlive the process. */
export function memorySpool<T>(): Spool<T> {
  let items: T[] = [];
  const clear = (): void => {
    items = [];
  };
  return {
    push: (item) => void items.push(item),
    first: (count) => items.slice(0, count),
    drop: (count) => void items.splice(0, count),
    size: () => items.length,
    sizeBytes: () => 0,
    isFull: () => false,
    close: clear,
    remove: clear,
  };
}

/**
 * A queue in a folder: every item is in a file before `push` returns, so it outlives a killed process (not a power cut: nothing waits for the disk).
 * Memory holds the first items alone. A folder that an earlier process left is gone on with; an item that was cut short in its file was never
 * acknowledged and is left out. Where the disk takes nothing more, items wait in memory and the spool is full.
 */
export function openSpool<T>(dir: string, limits: Partial<SpoolLimits> = {}): Spool<T> {
  const { limitBytes, windowItems, fileBytes } = { ...LIMITS, ...limits };
  makeFolder(dir, 0o700);
  const parts: Part[] = readdirSync(dir)
    .filter((name) => /^\d{8}$/.test(name))
    .sort()
    .map((name) => openPart(join(dir, name)));
  let made = Number(parts.at(-1)?.path.slice(-8) ?? 0);
  const memory: Held<T>[] = [];
  /** Items behind those in memory: first those on disk alone, then those that the disk refused. */
  let onDisk = parts.reduce((sum, { left }) => sum + left, 0);
  let refused: T[] = [];
  /** Where the first item that is not in memory is. */
  let at: { part: Part | undefined; offset: number } = { part: parts[0], offset: 0 };

  const write = (item: T): Part | null => {
    const body = serialize(item);
    const frame = Buffer.alloc(HEAD_BYTES + body.length);
    frame.writeUInt32LE(body.length);
    body.copy(frame, HEAD_BYTES);
    let part = parts.at(-1);
    try {
      if (!part || part.sizeBytes >= fileBytes) {
        part = openPart(join(dir, String(++made).padStart(8, '0')));
        parts.push(part);
      }
      for (let done = 0; done < frame.length; )
        done += writeSync(part.fd, frame, done, frame.length - done, part.sizeBytes + done);
    } catch {
      if (part?.sizeBytes === 0) removePart(parts.pop());
      return null;
    }
    part.sizeBytes += frame.length;
    part.left++;
    return part;
  };
  const load = (): void => {
    while (onDisk > 0 && memory.length < windowItems) {
      if (!at.part || !parts.includes(at.part)) at = { part: parts[0], offset: 0 };
      else if (at.offset >= at.part.sizeBytes) at = { part: parts[parts.indexOf(at.part) + 1], offset: 0 };
      const { part, offset } = at;
      if (!part) return;
      const { items, end } = readItems<T>(part, offset, Math.min(onDisk, windowItems - memory.length));
      for (const item of items) memory.push({ item, part });
      onDisk -= items.length;
      at = { part, offset: end };
    }
    if (onDisk > 0) return;
    for (const item of refused.splice(0)) memory.push({ item, part: null });
  };
  const size = (): number => memory.length + onDisk + refused.length;
  const tidy = (): void => {
    while (parts.length > 1 && parts[0]?.left === 0) removePart(parts.shift());
    const [last] = parts;
    if (last && last.left === 0 && last.sizeBytes > 0) {
      ftruncateSync(last.fd, 0);
      last.sizeBytes = 0;
      at = { part: last, offset: 0 };
    }
  };
  const closeAll = (): void => {
    for (const { fd } of parts.splice(0)) closeSync(fd);
    memory.length = 0;
    refused = [];
    onDisk = 0;
  };
  return {
    push(item) {
      // One that was refused must not be overtaken.
      const part = refused.length > 0 ? null : write(item);
      if (part === null) refused.push(item);
      else if (onDisk === 0 && memory.length < windowItems) {
        memory.push({ item, part });
        at = { part, offset: part.sizeBytes };
      } else onDisk++;
    },
    first(count) {
      if (memory.length < count) load();
      return memory.slice(0, count).map(({ item }) => item);
    },
    drop(count) {
      for (const { part } of memory.splice(0, count)) if (part) part.left--;
      tidy();
    },
    size,
    sizeBytes: () => parts.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    isFull: () => refused.length > 0 || parts.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) >= limitBytes,
    close: closeAll,
    remove() {
      closeAll();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** Opens a file of items and leaves out what is cut short at its end. */
function openPart(path: string): Part {
  const fd = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600);
  const part: Part = { path, fd, sizeBytes: 0, left: 0 };
  const head = Buffer.alloc(HEAD_BYTES);
  const { size } = fstatSync(fd);
  let end = 0;
  while (end + HEAD_BYTES <= size) {
    readSync(fd, head, 0, HEAD_BYTES, end);
    const next = end + HEAD_BYTES + head.readUInt32LE();
    if (next > size) break;
    end = next;
    part.left++;
  }
  part.sizeBytes = end;
  return part;
}

function removePart(part: Part | undefined): void {
  if (!part) return;
  closeSync(part.fd);
  rmSync(part.path, { force: true });
}

/** Items from a place on, at most so many, and the place behind them. */
function readItems<T>({ fd, sizeBytes }: Part, offset: number, count: number): { items: T[]; end: number } {
  const items: T[] = [];
  const head = Buffer.alloc(HEAD_BYTES);
  let end = offset;
  while (items.length < count && end < sizeBytes) {
    readSync(fd, head, 0, HEAD_BYTES, end);
    const body = Buffer.alloc(head.readUInt32LE());
    readSync(fd, body, 0, body.length, end + HEAD_BYTES);
    items.push(deserialize(body) as T);
    end += HEAD_BYTES + body.length;
  }
  return { items, end };
}
