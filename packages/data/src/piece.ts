/**
 * A part of a text on its way to the model. `lead` is how much of it was made of the first letter that was typed, 0 where that letter is gone:
 * a Metaspace whose scheme is `first` puts its sign before no other part.
 */
export interface Piece {
  text: string;
  lead: number;
}

/** What a tokenizer's normalizer makes of a part of a text. */
export type Normalize = (piece: Piece) => Piece;

/** Cuts parts of a text into words, each as it is asked for: a list of all would take many times the memory of a long text. */
export type PreTokenize = (pieces: Iterable<Piece>) => Iterable<Piece>;

/** A change that each part undergoes by itself. */
export const each = (change: Normalize): PreTokenize =>
  function* (pieces) {
    for (const piece of pieces) yield change(piece);
  };

/** A part with a text before it, which counts as made of the part's first letter. */
export const prefixed = ({ text, lead }: Piece, prefix: string): Piece => ({
  text: prefix + text,
  lead: lead === 0 ? 0 : lead + prefix.length,
});

/** A change that each letter undergoes by itself. */
export const mapped =
  (change: (text: string) => string): Normalize =>
  ({ text, lead }) => ({ text: change(text), lead: lead === 0 ? 0 : change(text.slice(0, lead)).length });

/** The part of a piece from `start` to `end`. */
export const cutPiece = ({ text, lead }: Piece, start: number, end: number): Piece => ({
  text: text.slice(start, end),
  lead: Math.max(0, Math.min(lead, end) - start),
});
