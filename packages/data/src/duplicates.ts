import { createHash } from 'node:crypto';
import type { Row } from './row.js';

/** Rows of a file that say the same, word for word, as one before them. */
export interface Duplicates {
  rows: number;
  /** The first such line, and the line that it repeats; null when there is none. */
  first: { line: number; of: number } | null;
}

/** Finds the rows of one file that were there before. */
export interface DuplicateFinder {
  /** Takes the next row; returns the line of an equal row before it, null when it is new. */
  see(line: number, row: Row): number | null;
  /** Whether the file had this row. */
  has(row: Row): boolean;
  found(): Duplicates;
}

/** A map holds 2^24 keys at most; files of more rows than that are spread over several. */
const PARTS = 64;

export function findDuplicates(): DuplicateFinder {
  const parts = Array.from({ length: PARTS }, () => new Map<number, number>());
  const partOf = (hash: number): Map<number, number> => parts[hash % PARTS] as Map<number, number>;
  let rows = 0;
  let first: Duplicates['first'] = null;
  return {
    see(line, row) {
      const hash = rowHash(row);
      const of = partOf(hash).get(hash);
      if (of === undefined) {
        partOf(hash).set(hash, line);
        return null;
      }
      rows += 1;
      first ??= { line, of };
      return of;
    },
    has: (row) => {
      const hash = rowHash(row);
      return partOf(hash).has(hash);
    },
    found: () => ({ rows, first }),
  };
}

/** 53 bits of what a row says, however it is written: among five million rows two unlike ones share them with a chance of one in 700. */
export function rowHash(row: Row): number {
  const digest = createHash('sha256').update(JSON.stringify(row, writable)).digest();
  return digest.readUIntBE(0, 6) * 32 + ((digest[6] ?? 0) >> 3);
}

/** Calls and definitions keep numbers as big integers and objects as maps. */
const writable = (_key: string, value: unknown): unknown =>
  typeof value === 'bigint' ? `${value}n` : value instanceof Map ? [...value] : value;
