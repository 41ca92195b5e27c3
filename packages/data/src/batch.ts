/** Labels with this value are not supervised (the convention of PyTorch's cross entropy and of Hugging Face). */
export const IGNORED = -100;

/** One encoded row. `labels[i]` is `ids[i]` where the loss counts that token and -100 elsewhere (not shifted). */
export interface EncodedRow {
  ids: number[];
  labels: number[];
}

/**
 * What one forward pass takes. All arrays are row-major [B, T], int32.
 * `labels` are already shifted: labels[b, t] is the token that position t must predict, or -100.
 * `segments` number the documents of a row; attention stays inside equal numbers. Padding has segment -1.
 */
export interface Batch {
  ids: Int32Array;
  labels: Int32Array;
  segments: Int32Array;
  B: number;
  T: number;
}

/**
 * Pads rows to one length and shifts their labels. T = (longest row - 1) rounded up to a multiple of `multiple`:
 * the last token of a row is a target and never an input.
 */
export function collate(rows: readonly EncodedRow[], options: { padId: number; multiple?: number }): Batch {
  const multiple = options.multiple ?? 1;
  const longest = rows.reduce((length, row) => Math.max(length, row.ids.length - 1), 1);
  const B = rows.length;
  const T = Math.ceil(longest / multiple) * multiple;
  const ids = new Int32Array(B * T).fill(options.padId);
  const labels = new Int32Array(B * T).fill(IGNORED);
  const segments = new Int32Array(B * T).fill(-1);
  rows.forEach((row, b) => {
    for (let t = 0; t + 1 < row.ids.length; t += 1) {
      ids[b * T + t] = row.ids[t] as number;
      labels[b * T + t] = row.labels[t + 1] as number;
      segments[b * T + t] = 0;
    }
  });
  return { ids, labels, segments, B, T };
}

/** Rows of width + 1 tokens filled with documents end to end; `segments` holds each token's document number in its row. */
export interface PackedRows {
  tokens: Int32Array;
  segments: Int32Array;
  rows: number;
  width: number;
}

/**
 * Packs documents into rows of width + 1 tokens. A row starts at a document's start; a document that the row's end cuts
 * is shown again, whole, at the start of the next row (once: a document longer than a row is cut there for good).
 * The last, unfilled row is left out unless `keepTail` asks for it, padded with `padId` in segment -1.
 */
export function packDocuments(
  documents: readonly (readonly number[])[],
  width: number,
  tail?: { keepTail: true; padId: number },
): PackedRows {
  const size = width + 1;
  const tokens: number[] = [];
  const segments: number[] = [];
  let filled = 0;
  let segment = 0;
  let isRepeat = false;
  for (let i = 0; i < documents.length; ) {
    const document = documents[i] as readonly number[];
    const taken = Math.min(document.length, size - filled);
    for (let k = 0; k < taken; k += 1) {
      tokens.push(document[k] as number);
      segments.push(segment);
    }
    filled += taken;
    segment += 1;
    const isFull = filled === size;
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
    for (; filled < size; filled += 1) {
      tokens.push(tail.padId);
      segments.push(-1);
    }
  }
  const rows = Math.floor(tokens.length / size);
  return {
    tokens: Int32Array.from(tokens.slice(0, rows * size)),
    segments: Int32Array.from(segments.slice(0, rows * size)),
    rows,
    width,
  };
}

/** The batch of the given packed rows: every token is a target except the first of a document and padding. */
export function packedBatch(packed: PackedRows, rowIndices: ArrayLike<number>): Batch {
  const T = packed.width;
  const B = rowIndices.length;
  const ids = new Int32Array(B * T);
  const labels = new Int32Array(B * T);
  const segments = new Int32Array(B * T);
  for (let b = 0; b < B; b += 1) {
    const start = (rowIndices[b] as number) * (T + 1);
    for (let t = 0; t < T; t += 1) {
      const own = packed.segments[start + t] as number;
      ids[b * T + t] = packed.tokens[start + t] as number;
      segments[b * T + t] = own;
      const isInside = own >= 0 && packed.segments[start + t + 1] === own;
      labels[b * T + t] = isInside ? (packed.tokens[start + t + 1] as number) : IGNORED;
    }
  }
  return { ids, labels, segments, B, T };
}
