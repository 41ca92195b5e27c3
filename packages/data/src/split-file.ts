import { createHash } from 'node:crypto';
import { type FileHandle, open, rm } from 'node:fs/promises';
import path from 'node:path';
import { AppError, explain } from '@moraine/contract';
import { rowHash } from './duplicates.js';
import type { Row } from './row.js';
import { readRows } from './validate-file.js';

/** A file to be made of drawn rows: so many distinct rows, or such a share of them when below 1. */
export interface SplitPart {
  file: string;
  size: number;
}

export interface SplitReport {
  /** Rows of the whole file, and how many of them are distinct. */
  rows: number;
  distinct: number;
  /** What went into each part, in the order asked for, and last into the file of the rest. */
  parts: { file: string; rows: number; distinct: number }[];
}

/**
 * Divides the rows of a JSONL file over new files, for choosing and for judging, and a last one for the rest, which is trained on. Rows that say the same word
 * for word go to the same file, so nothing is judged by that was trained on. Which rows are drawn depends on what they say and on the seed
 * alone, not on their order; they stay in their order and as they are written. Two passes; memory is 8 bytes a row. The files appear together or not at all.
 * @param name what the whole file is called in an error; default its name.
 * @throws AppError `invalid_file` at the first bad row, `invalid_request` where nothing is left for the rest, `conflict` where a file exists, `storage_full`.
 */
export async function splitFile(
  from: string,
  parts: readonly SplitPart[],
  rest: string,
  seed: number,
  name = path.basename(from),
): Promise<SplitReport> {
  const { rows, keys } = await readKeys(from, seed);
  const sizes = countRows(parts, keys.length, name);
  const bounds = boundsOf(sizes, keys);
  const files = [...parts.map(({ file }) => file), rest];
  const report = files.map((file, index) => ({ file, rows: 0, distinct: sizes[index] ?? 0 }));
  const outs = await openAll(files);
  try {
    for await (const { row, bytes } of readRows(from)) {
      const key = keyOf(row, seed);
      const at = bounds.findIndex((bound) => key < bound);
      await outs[at]?.write(Buffer.concat([bytes, LINE_END]));
      (report[at] as SplitReport['parts'][number]).rows += 1;
    }
  } catch (error) {
    await Promise.all(files.map((file) => rm(file, { force: true })));
    throw (error as NodeJS.ErrnoException).code === 'ENOSPC' ? noRoom(rest, error) : error;
  } finally {
    await Promise.all(outs.map((out) => out.close()));
  }
  return { rows, distinct: keys.length, parts: report };
}

const noRoom = (file: string, cause: unknown): AppError =>
  new AppError('storage_full', `The disk of ${path.dirname(file)} has no room for the parts of the file.`, {
    hint: 'Make room there.',
    cause,
  });

const LINE_END = Buffer.from('\n');

/** Where a row stands in the draw: 48 bits of what it says and of the seed. */
const keyOf = (row: Row, seed: number): number =>
  createHash('sha256')
    .update(`${seed}:${rowHash(row)}`)
    .digest()
    .readUIntBE(0, 6);

/** The keys of the distinct rows, ascending. */
async function readKeys(file: string, seed: number): Promise<{ rows: number; keys: Float64Array }> {
  let keys = new Float64Array(1024);
  let rows = 0;
  for await (const { row } of readRows(file)) {
    if (rows === keys.length) {
      const grown = new Float64Array(2 * rows);
      grown.set(keys);
      keys = grown;
    }
    keys[rows++] = keyOf(row, seed);
  }
  const sorted = keys.subarray(0, rows).sort();
  return { rows, keys: sorted.filter((key, index) => key !== sorted[index - 1]) };
}

/** Distinct rows of each part and of the rest. */
function countRows(parts: readonly SplitPart[], distinct: number, name: string): number[] {
  const sizes = parts.map(({ size }) => (size < 1 ? Math.round(size * distinct) : size));
  const rest = distinct - sizes.reduce((sum, size) => sum + size, 0);
  const empty = sizes.indexOf(0);
  if (rest >= 1 && empty < 0) return [...sizes, rest];
  const asked = parts.map(({ size }) => (size < 1 ? `${100 * size} %` : `${size}`)).join(' and ');
  const why = empty < 0 ? 'leave none to train on' : `leave ${path.basename(parts[empty]?.file ?? '')} without a row`;
  throw new AppError('invalid_request', `${name} has ${distinct} distinct rows: ${asked} of them ${why}.`, {
    hint: 'Ask for other shares, or bring more rows.',
  });
}

/** The first key that is no longer of each part; none is beyond the last. */
function boundsOf(sizes: readonly number[], keys: Float64Array): number[] {
  let before = 0;
  return sizes.map((size) => {
    before += size;
    return keys[before] ?? Number.POSITIVE_INFINITY;
  });
}

async function openAll(files: readonly string[]): Promise<FileHandle[]> {
  const opened: { file: string; handle: FileHandle }[] = [];
  for (const file of files) {
    try {
      opened.push({ file, handle: await open(file, 'wx') });
    } catch (cause) {
      for (const { file: made, handle } of opened) {
        await handle.close();
        await rm(made, { force: true });
      }
      throw new AppError('conflict', `${file} cannot be made: ${explain(cause)}.`, { hint: 'Name a new file.', cause });
    }
  }
  return opened.map(({ handle }) => handle);
}
