/** Labels with this value are not supervised (the convention of PyTorch's cross entropy and of Hugging Face). */
export const IGNORED = -100;

/** One encoded row. `labels[i]` is `ids[i]` where the loss counts that token and -100 elsewhere (not shifted). */
export interface EncodedRow {
  ids: number[];
  labels: number[];
}

/**
 * What one forward pass takes: rows side by side, padded to one length; each array holds batch · time numbers, row by row.
 * `labels` are not shifted. `segments` number the documents of a row; attention and targets stay inside equal numbers.
 * Padding: `padId`, label -100, segment -1.
 */
export interface Batch {
  batch: number;
  time: number;
  ids: Int32Array;
  labels: Int32Array;
  segments: Int32Array;
}

/** Pads rows to one length: that of the longest, rounded up to a multiple of `multiple`. */
export function collate(rows: readonly EncodedRow[], options: { padId: number; multiple?: number }): Batch {
  const multiple = options.multiple ?? 1;
  const longest = rows.reduce((length, row) => Math.max(length, row.ids.length), 1);
  const batch = rows.length;
  const time = Math.ceil(longest / multiple) * multiple;
  const ids = new Int32Array(batch * time).fill(options.padId);
  const labels = new Int32Array(batch * time).fill(IGNORED);
  const segments = new Int32Array(batch * time).fill(-1);
  rows.forEach((row, b) => {
    ids.set(row.ids, b * time);
    labels.set(row.labels, b * time);
    segments.fill(0, b * time, b * time + row.ids.length);
  });
  return { batch, time, ids, labels, segments };
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
 * is shown again, whole, at the start of the next row (once: a document longer than a row is cut there for good).
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
  let isRepeat = false;
  for (let i = 0; i < documents.length; ) {
    const document = documents[i] as readonly number[];
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
    if (isFull && taken < document.length && !isRepeat) {
      isRepeat = true;
    } else {
      i += 1;
      isRepeat = false;
    }
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
  return { batch, time, ids, labels, segments };
}
