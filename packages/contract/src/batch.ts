/** Labels with this value are not supervised (the convention of PyTorch's cross entropy and of Hugging Face). */
export const IGNORED = -100;

/** Rows side by side and tokens a row; each shape that a program takes is one traced signature. */
export interface BatchShape {
  batch: number;
  time: number;
}

/**
 * What one forward pass takes: rows side by side, padded to one length; each array holds batch · time numbers, row by row. Padding: an id
 * of the vocabulary, label -100, segment -1, position 0.
 */
export interface Batch extends BatchShape {
  ids: Int32Array;
  /** The id itself where the token is to be learned, -100 where not; not shifted. */
  labels: Int32Array;
  /** Numbers of the row's documents: attention and targets stay inside equal numbers. */
  segments: Int32Array;
  /** Places in the document from 0, for the rotary embedding. */
  positions: Int32Array;
  /** 1 where the token is of a row of the role source; absent where no row is. */
  sources?: Uint8Array;
}
