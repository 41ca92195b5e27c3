import { TemplateError } from './values.js';

/** A text of a template is at most four times the longest line of a file, and a list as long as anybody's. */
const TEXT_MAX = 2 ** 26;
const ITEMS_MAX = 2 ** 20;
const BITS_MAX = 2 ** 16;
const WHOLE_MAX = 2n ** BigInt(BITS_MAX);

/** Refuses a text before it is made. */
export function refuseLongText(length: number): void {
  if (length > TEXT_MAX) throw new TemplateError(`a text of ${length} letters is too long; ${TEXT_MAX} at most`);
}

/** Refuses a list before it is made. */
export function refuseLongList(length: number): void {
  if (length > ITEMS_MAX) throw new TemplateError(`a list of ${length} items is too long; ${ITEMS_MAX} at most`);
}

/** Texts one behind the other. */
export function joinTexts(texts: readonly string[], between = ''): string {
  refuseLongText(texts.reduce((sum, text) => sum + text.length + between.length, 0));
  return texts.join(between);
}

export function repeatText(text: string, count: number): string {
  const times = Math.max(0, count);
  refuseLongText(text.length * times);
  return text.repeat(times);
}

/** A whole number that the next sum can be made with in no time. */
export function boundedWhole(number: bigint): bigint {
  if (number < WHOLE_MAX && number > -WHOLE_MAX) return number;
  throw new TemplateError(`a number of more than ${BITS_MAX} bits is too large`);
}

/** @throws TemplateError before a power that is too large is computed. */
export function boundedPower(base: bigint, exponent: bigint): bigint {
  const bits = base.toString(2).length;
  if (bits > 2 && exponent * BigInt(bits - 2) > BigInt(BITS_MAX)) return boundedWhole(WHOLE_MAX);
  if (exponent > WHOLE_MAX) return boundedWhole(WHOLE_MAX);
  return boundedWhole(base ** exponent);
}

/** What a template writes: pieces, at most as many letters as a text may have. */
export class Written {
  private readonly parts: string[] = [];
  private length = 0;

  push(text: string): void {
    this.length += text.length;
    refuseLongText(this.length);
    if (text !== '') this.parts.push(text);
  }

  text(): string {
    return this.parts.join('');
  }
}
