import { copyOf } from './copy-text.js';

/** The bytes that a token stands for; null where that is not known, as of the unknown token. */
export type TokenBytes = (id: number) => Uint8Array | null;

/** The letters that byte-level tokenizers write bytes with, to the bytes. */
const BYTE_OF_LETTER: ReadonlyMap<string, number> = (() => {
  const isPlain = (byte: number) => (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  let next = 256;
  return new Map(
    Array.from({ length: 256 }, (_, byte) => [String.fromCodePoint(isPlain(byte) ? byte : next++), byte] as const),
  );
})();

const LETTER_OF_BYTE: readonly string[] = [...BYTE_OF_LETTER.keys()];

/** Words whose letters are kept; they are forgotten together when there are so many. */
const KEPT_MAX = 20_000;
const KEPT_LENGTH_MAX = 32;
const kept = new Map<string, string>();

/** A word in the letters of its bytes. */
export function lettersOf(word: string): string {
  const known = kept.get(word);
  if (known !== undefined) return known;
  let letters = '';
  for (const byte of encoder.encode(word)) letters += LETTER_OF_BYTE[byte];
  if (word.length > KEPT_LENGTH_MAX) return letters;
  if (kept.size >= KEPT_MAX) kept.clear();
  kept.set(copyOf(word), letters);
  return letters;
}

const encoder = new TextEncoder();

/** The tokens that write the bytes of a text as SentencePiece does: `<0x0A>`. */
export const byteTexts = (text: string): string[] =>
  Array.from(encoder.encode(text), (byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);

/** Bytes of tokens of a byte-level vocabulary, or of one that writes spaces as `▁` and single bytes as `<0x0A>`. */
export function tokenBytes(
  textOf: (id: number) => string | undefined,
  added: ReadonlySet<number>,
  isByteLevel: boolean,
  unkId: number | null,
): TokenBytes {
  const known = new Map<number, Uint8Array | null>();
  const read = (id: number): Uint8Array | null => {
    const text = textOf(id);
    if (text === undefined || id === unkId) return null;
    if (added.has(id)) return encoder.encode(text);
    if (isByteLevel) return fromLetters(text);
    const [, hex] = /^<0x([0-9A-F]{2})>$/.exec(text) ?? [];
    return hex === undefined ? encoder.encode(text.replaceAll('▁', ' ')) : Uint8Array.of(Number.parseInt(hex, 16));
  };
  return (id) => {
    const kept = known.get(id);
    if (kept !== undefined) return kept;
    const bytes = read(id);
    known.set(id, bytes);
    return bytes;
  };
}

function fromLetters(text: string): Uint8Array | null {
  const bytes = Array.from(text, (letter) => BYTE_OF_LETTER.get(letter));
  return bytes.every((byte) => byte !== undefined) ? Uint8Array.from(bytes) : null;
}

const SPACE = 0x20;
const isBlank = (byte: number | undefined): boolean =>
  byte === SPACE || (byte !== undefined && byte >= 9 && byte <= 13);

/**
 * Where each token ends in the text, in bytes of UTF-8. A space that the tokenizer put before a word is none of the text's; white space
 * that a special token swallowed belongs to the token; unknown tokens reach to the next known one. Null where the tokens do not spell the
 * text: it was normalised.
 */
export function byteEndsOf(text: string, ids: readonly number[], bytesOf: TokenBytes): Int32Array | null {
  const bytes = Buffer.from(text);
  const ends = new Int32Array(ids.length);
  let at = 0;
  let unknown = 0;
  for (const [i, id] of ids.entries()) {
    const token = bytesOf(id);
    if (token === null) {
      unknown += 1;
      continue;
    }
    const begin = unknown === 0 ? findToken(bytes, token, at) : findLater(bytes, token, at + unknown);
    if (begin === null) return null;
    ends.fill(begin.at, i - unknown, i);
    unknown = 0;
    at = begin.at + token.length - begin.added;
    ends[i] = at;
  }
  ends.fill(bytes.length, ids.length - unknown);
  while (isBlank(bytes[at])) at += 1;
  return at === bytes.length || unknown > 0 ? ends : null;
}

/** The text of each token, `\ufffd` for unknown ones; of letters that several tokens spell, the last has them. */
export function piecesOf(ids: readonly number[], bytesOf: TokenBytes): string[] {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  return ids.map((id, i) => {
    const isLast = i === ids.length - 1;
    const bytes = bytesOf(id);
    return bytes === null ? `${decoder.decode()}\ufffd` : decoder.decode(bytes, { stream: !isLast });
  });
}

/** How far unknown tokens may reach. */
const UNKNOWN_BYTES_MAX = 256;

/** The first place of a token from `at` on, behind tokens that nobody knows. */
function findLater(bytes: Buffer, token: Uint8Array, at: number): { at: number; added: number } | null {
  const most = Math.min(bytes.length, at + UNKNOWN_BYTES_MAX);
  for (let from = at; from <= most; from += 1) if (isAt(bytes, token, from, 0)) return { at: from, added: 0 };
  return null;
}

/** Where a token stands at or right behind `at`, and how many of its bytes are not in the text; null where it stands not there. */
function findToken(bytes: Buffer, token: Uint8Array, at: number): { at: number; added: number } | null {
  if (isAt(bytes, token, at, 0)) return { at, added: 0 };
  if (token[0] === SPACE && isAt(bytes, token, at, 1)) return { at, added: 1 };
  let blank = at;
  while (isBlank(bytes[blank])) {
    blank += 1;
    if (isAt(bytes, token, blank, 0)) return { at: blank, added: 0 };
  }
  return null;
}

function isAt(bytes: Buffer, token: Uint8Array, at: number, from: number): boolean {
  for (let i = from; i < token.length; i += 1) if (bytes[at + i - from] !== token[i]) return false;
  return true;
}
