import { AppError } from '@moraine/contract';
import type { Normalize, Piece } from './piece.js';

/**
 * SentencePiece's compiled rules, as Hugging Face's tokenizers applies them: to each letter with its marks where that is short, else to each
 * character of it. `charsmap` is in base64: the size of a double array in bytes, the array, the texts that it points into.
 * @throws AppError `invalid_base` where it is something else.
 */
export function createCharMap(charsmap: unknown): Normalize {
  const bytes = Buffer.from(typeof charsmap === 'string' ? charsmap : '', 'base64');
  const size = bytes.length < 4 ? 0 : bytes.readUInt32LE(0);
  if (size === 0 || size % 4 !== 0 || size + 4 > bytes.length) throw damaged();
  const units = Uint32Array.from({ length: size / 4 }, (_, i) => bytes.readUInt32LE(4 + 4 * i));
  const texts = bytes.subarray(4 + size);
  const known = new Map<string, string | null>();
  const madeOf = (part: string): string | null => {
    const kept = known.get(part);
    if (kept !== undefined) return kept;
    const place = firstPlace(units, Buffer.from(part));
    const end = place === null ? -1 : texts.indexOf(0, place);
    const made = place === null ? null : texts.toString('utf8', place, end < 0 ? texts.length : end);
    if (known.size >= KEPT_MAX) known.clear();
    known.set(part, made);
    return made;
  };
  return (piece) => apply(piece, madeOf);
}

const damaged = (): AppError =>
  new AppError('invalid_base', 'tokenizer.json has a precompiled_charsmap that is damaged.', {
    param: 'tokenizer.json normalizer.precompiled_charsmap',
    hint: 'Take the file as the model came with it.',
  });

/** Letters whose rule is kept; they are forgotten together when there are so many. */
const KEPT_MAX = 20_000;

/** Letters with marks that take more bytes than this have no rule of their own. */
const CLUSTER_BYTES_MAX = 5;

/** The place that the shortest key, of those that the bytes begin with, points to. */
function firstPlace(units: Uint32Array, key: Uint8Array): number | null {
  const offsetOf = (unit: number): number => (unit >>> 10) << ((unit & 0x200) >>> 6);
  let at = offsetOf(units[0] ?? 0);
  for (const byte of key) {
    if (byte === 0) return null;
    at ^= byte;
    const unit = units[at] ?? 0;
    if ((unit & 0x8000_00ff) >>> 0 !== byte) return null;
    at ^= offsetOf(unit);
    if ((unit >>> 8) & 1) return (units[at] ?? 0) & 0x7fff_ffff;
  }
  return null;
}

/** The text that the rules make, and what of it stands where the first letter stood: letters that are dropped move what follows them. */
function apply({ text, lead }: Piece, madeOf: (part: string) => string | null): Piece {
  const leadCount = Array.from(text.slice(0, lead)).length;
  let made = '';
  let madeLead = 0;
  let at = 0;
  const push = (letters: string, replaced: number): void => {
    made += letters;
    for (const [i, letter] of Array.from(letters).entries()) {
      // A letter more than there were belongs to the one before it.
      const from = i < replaced ? at++ : Math.max(0, at - 1);
      if (from < leadCount) madeLead += letter.length;
    }
    if (made !== '') at += Math.max(0, replaced - Array.from(letters).length);
  };
  for (const cluster of clustersOf(text)) {
    const whole = Buffer.byteLength(cluster) <= CLUSTER_BYTES_MAX ? madeOf(cluster) : null;
    if (whole !== null) push(whole, Array.from(cluster).length);
    else for (const letter of cluster) push(madeOf(letter) ?? letter, 1);
  }
  return { text: made, lead: madeLead };
}

const segmenter = new Intl.Segmenter('und', { granularity: 'grapheme' });

/** Parts of a text between which letters begin for certain: to segment a long text takes the square of its length. */
const CHUNK =
  /[\s\S]{64,2048}?(?<=[\x20-\x7e\p{Script=Han}])(?=[\x20-\x7e\p{L}])(?![\u0e33\u0eb3\uff9e\uff9f])|[\s\S]{1,2048}/gu;

/** Letters with their marks. */
function* clustersOf(text: string): Generator<string> {
  for (const [chunk] of text.matchAll(CHUNK)) for (const { segment } of segmenter.segment(chunk)) yield segment;
}
