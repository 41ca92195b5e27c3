import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { AppError } from '@moraine/contract';
import { CHECKED_BYTES, refuseNonFinite } from '@moraine/contract/plan';
import type { FileSlice } from '@moraine/engine';

/** Where a weight is: its file, its name there, its bytes. */
export interface WeightSlice extends FileSlice {
  shape: number[];
  /** The name in the file, which for a tied head may not be the model's. */
  storedAs: string;
}

/** Whether two weights are stored as the same bytes of the same type. */
export function hasSameBytes(a: WeightSlice, b: WeightSlice): boolean {
  if (a.dtype !== b.dtype || a.bytes !== b.bytes) return false;
  const others = piecesOf(b);
  for (const piece of piecesOf(a)) {
    const other = others.next();
    if (other.done || Buffer.compare(piece, other.value) !== 0) return false;
  }
  return true;
}

/** The bytes of a weight, `CHECKED_BYTES` at a time, in one buffer: a piece is gone with the next. */
export function* piecesOf({ path, offset, bytes }: WeightSlice): Generator<Uint8Array, void> {
  const file = openSync(path, 'r');
  const buffer = new Uint8Array(Math.min(CHECKED_BYTES, bytes));
  try {
    for (let at = 0; at < bytes; at += CHECKED_BYTES) {
      const piece = buffer.subarray(0, Math.min(CHECKED_BYTES, bytes - at));
      readFully(file, piece, offset + at);
      yield piece;
    }
  } finally {
    closeSync(file);
  }
}

function readFully(file: number, into: Uint8Array, position: number): void {
  for (let done = 0; done < into.length; ) {
    const read = readSync(file, into, done, into.length - done, position + done);
    if (read === 0)
      throw new AppError('invalid_base', 'A file of weights became shorter while it was read.', {
        hint: 'Copy the base again.',
      });
    done += read;
  }
}

/**
 * Reads all weights once, piece by piece, and refuses numbers that are not finite. Yields to the event loop on the way.
 * @param see gets every piece, in the order of the map
 * @throws AppError `invalid_base` naming a tensor that holds NaN or an infinity, and the place in it.
 */
export async function checkWeights(
  weights: ReadonlyMap<string, WeightSlice>,
  see: (piece: Uint8Array) => void = () => undefined,
): Promise<void> {
  for (const [name, slice] of weights) {
    let from = 0;
    for (const piece of piecesOf(slice)) {
      refuseNonFinite({ ...slice, name }, piece, from);
      see(piece);
      from += piece.length;
      await new Promise(setImmediate);
    }
  }
}

/** sha256 of all weights, whatever shards they are in. @throws AppError as `checkWeights` does. */
export async function hashWeights(weights: ReadonlyMap<string, WeightSlice>): Promise<string> {
  const hash = createHash('sha256');
  const sorted = [...weights].sort(([a], [b]) => (a < b ? -1 : 1));
  for (const [name, { dtype, shape }] of sorted) hash.update(`${name} ${dtype} ${shape.join()}\n`);
  await checkWeights(new Map(sorted), (piece) => hash.update(piece));
  return hash.digest('hex');
}
