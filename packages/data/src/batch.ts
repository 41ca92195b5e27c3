import { type Batch, IGNORED } from '@moraine/contract';

/** One encoded row. `labels[i]` is `ids[i]` where the loss counts that token and -100 elsewhere (not shifted). */
export interface EncodedRow {
  ids: number[];
  labels: number[];
  /** A row of the role source. */
  isSource?: boolean;
}

/** A batch of nothing but padding. */
export function emptyBatch(batch: number, time: number, padId: number): Batch {
  const size = batch * time;
  return {
    batch,
    time,
    ids: new Int32Array(size).fill(padId),
    labels: new Int32Array(size).fill(IGNORED),
    segments: new Int32Array(size).fill(-1),
    positions: new Int32Array(size),
  };
}

/** Writes a row into a batch as document number `segment`, beginning at flat place `at`. */
export function placeRow(
  { ids, labels, segments, positions, sources }: Batch,
  row: EncodedRow,
  at: number,
  segment: number,
): void {
  const length = row.ids.length;
  ids.set(row.ids, at);
  labels.set(row.labels, at);
  segments.fill(segment, at, at + length);
  for (let t = 0; t < length; t += 1) positions[at + t] = t;
  if (row.isSource) sources?.fill(1, at, at + length);
}

/** Pads rows to one length: that of the longest, rounded up to a multiple of `multiple`. */
export function collate(rows: readonly EncodedRow[], options: { padId: number; multiple?: number }): Batch {
  const multiple = options.multiple ?? 1;
  const longest = rows.reduce((length, row) => Math.max(length, row.ids.length), 1);
  const time = Math.ceil(longest / multiple) * multiple;
  const batch = emptyBatch(rows.length, time, options.padId);
  rows.forEach((row, b) => {
    placeRow(batch, row, b * time, 0);
  });
  return batch;
}

/** Rows of `time` tokens filled with documents end to end; `segments` holds each token's document number in its row. */
export interface PackedRows {
  tokens: Int32Array;
  segments: Int32Array;
  rows: number;
  time: number;
}

/**
 * Packs documents into rows of `time` tokens. A row starts at a document's start; a document that the row's end cuts
 * is shown again, whole, at the start of the next row; a document longer than a row is cut there for good.
 * The last, unfilled row is left out unless `keepTail` asks for it, padded with `padId` in segment -1.
 */
export function packDocuments(
  documents: readonly (readonly number[])[],
  time: number,
  tail?: { keepTail: true; padId: number },
): PackedRows {
  const tokens: number[] = [];
  const segments: number[] = [];
  let filled = 0;
  let segment = 0;
  for (let i = 0; i < documents.length; ) {
    const document = documents[i] as readonly number[];
    const startsRow = filled === 0;
    const taken = Math.min(document.length, time - filled);
    for (let k = 0; k < taken; k += 1) {
      tokens.push(document[k] as number);
      segments.push(segment);
    }
    filled += taken;
    segment += 1;
    const isFull = filled === time;
    if (isFull) {
      filled = 0;
      segment = 0;
    }
    if (taken === document.length || startsRow) i += 1;
  }
  if (tail && filled > 0) {
    for (; filled < time; filled += 1) {
      tokens.push(tail.padId);
      segments.push(-1);
    }
  }
  const rows = Math.floor(tokens.length / time);
  return {
    tokens: Int32Array.from(tokens.slice(0, rows * time)),
    segments: Int32Array.from(segments.slice(0, rows * time)),
    rows,
    time,
  };
}

/** The batch of the given packed rows: every token is supervised except padding (a document's first token has nothing before it). */
export function packedBatch(packed: PackedRows, rowIndices: ArrayLike<number>): Batch {
  const { time } = packed;
  const batch = rowIndices.length;
  const ids = new Int32Array(batch * time);
  const segments = new Int32Array(batch * time);
  for (let b = 0; b < batch; b += 1) {
    const start = (rowIndices[b] as number) * time;
    ids.set(packed.tokens.subarray(start, start + time), b * time);
    segments.set(packed.segments.subarray(start, start + time), b * time);
  }
  const labels = ids.map((id, i) => ((segments[i] as number) < 0 ? IGNORED : id));
  return { batch, time, ids, labels, segments, positions: positionsIn(segments, time) };
}

/** Positions that restart where a row or a document begins, and are 0 in padding. */
function positionsIn(segments: Int32Array, time: number): Int32Array {
  const positions = new Int32Array(segments.length);
  for (let i = 0; i < segments.length; i += 1) {
    const segment = segments[i] as number;
    if (i % time !== 0 && segment >= 0 && segment === segments[i - 1]) positions[i] = (positions[i - 1] as number) + 1;
  }
  return positions;
}
