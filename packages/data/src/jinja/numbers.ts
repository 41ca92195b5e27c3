import { boundedWhole } from './bounds.js';
import { strip } from './text.js';

/** Python refuses longer texts of whole numbers, but for bases whose digits are whole bits. */
const DIGITS_MAX = 4300;
const DIGITS = String.raw`\d(?:_?\d)*`;
const FLOAT = new RegExp(`^[+-]?(?:${DIGITS}(?:\\.(?:${DIGITS})?)?|\\.${DIGITS})(?:[eE][+-]?${DIGITS})?$`);
const INFINITE = /^([+-]?)inf(?:inity)?$/i;
const NONE = /^[+-]?nan$/i;
const PREFIXES: Record<string, bigint> = { x: 16n, o: 8n, b: 2n };

const isDecimal = (code: number): boolean => /^\p{Nd}$/u.test(String.fromCodePoint(code));

/** The value of a digit of any script: each has its ten in a row. */
function digitValue(letter: string): number {
  const code = letter.codePointAt(0) ?? 0;
  let first = code;
  while (isDecimal(first - 1)) first -= 1;
  return (code - first) % 10;
}

/** A number's text without the space around it, its digits those of ASCII. */
const plainDigits = (text: string): string =>
  strip(text, null).replace(/[^\0-\u007f]/gu, (letter) =>
    /\p{Nd}/u.test(letter) ? String(digitValue(letter)) : letter,
  );

/** Python's `float` of a text; null where it is none. */
export function readFloat(text: string): number | null {
  const plain = plainDigits(text);
  if (NONE.test(plain)) return Number.NaN;
  const sign = INFINITE.exec(plain)?.[1];
  if (sign !== undefined) return sign === '-' ? -Infinity : Infinity;
  return FLOAT.test(plain) ? Number(plain.replaceAll('_', '')) : null;
}

/** Python's `int` of a text in a base of 2 to 36, or 0 for the one that its prefix names; null where it is none. */
export function readWhole(text: string, base: bigint): bigint | null {
  const [, sign = '', body = ''] = /^([+-]?)(.*)$/s.exec(plainDigits(text)) ?? [];
  const named = /^0([xob])_?/i.exec(body);
  const prefix = PREFIXES[named?.[1]?.toLowerCase() ?? ''];
  const isNamed = prefix !== undefined && (base === 0n || base === prefix);
  const radix = base === 0n ? (prefix ?? 10n) : base;
  const digits = isNamed ? body.slice(named?.[0].length) : body;
  if (radix < 2n || radix > 36n || !/^[\da-z](?:_?[\da-z])*$/i.test(digits)) return null;
  if (base === 0n && !isNamed && /^0[0_]*[1-9]/.test(digits)) return null;
  const whole = digitsToWhole(digits.replaceAll('_', ''), radix);
  return whole === null || sign !== '-' ? whole : -whole;
}

function digitsToWhole(digits: string, radix: bigint): bigint | null {
  if ((radix & (radix - 1n)) !== 0n && digits.length > DIGITS_MAX) return null;
  let sum = 0n;
  for (const digit of digits) {
    const value = BigInt(Number.parseInt(digit, 36));
    if (value >= radix) return null;
    sum = boundedWhole(sum * radix + value);
  }
  return sum;
}

/** A size as a whole number over a power of ten, exactly: every float has an end in tens. */
interface Decimal {
  whole: bigint;
  places: number;
}

function decimalOf(size: number): Decimal {
  let [whole, places] = [size, 0];
  for (; !Number.isInteger(whole); places += 1) whole *= 2;
  return { whole: BigInt(whole) * 5n ** BigInt(places), places };
}

/** The number of so many places after the point, which may be negative, as a whole one; halves go to the even side. */
function roundTo({ whole, places }: Decimal, count: number): bigint {
  if (count >= places) return whole * 10n ** BigInt(count - places);
  const unit = 10n ** BigInt(places - count);
  const [below, rest] = [whole / unit, (whole % unit) * 2n];
  return rest > unit || (rest === unit && below % 2n === 1n) ? below + 1n : below;
}

/** Python's `round` of a float to so many places, which may be negative. */
export function roundFloat(number: number, count: number): number {
  // Beyond these nothing is cut, and everything is.
  if (!Number.isFinite(number) || count > 400) return number;
  const rounded = roundTo(decimalOf(Math.abs(number)), Math.max(-400, count));
  const size = Number(`${rounded}e${-Math.max(-400, count)}`);
  return number < 0 || Object.is(number, -0) ? -size : size;
}

/** Python's `round` of a whole number to a negative count of places. */
export function roundWhole(number: bigint, count: number): bigint {
  const places = Math.min(-count, 2 ** 16);
  const size = roundTo({ whole: number < 0n ? -number : number, places: 0 }, -places) * 10n ** BigInt(places);
  return number < 0n ? -size : size;
}

/** What a size that is written has: places after the point, and whether the point stands where nothing follows. */
interface Written {
  places: number;
  keepsPoint: boolean;
}

/** No float has more places than its exact value. */
const PLACES_MAX = 1100;

/** `%f` of a size. */
export function fixedText(size: number, { places, keepsPoint }: Written): string {
  const count = Math.min(places, PLACES_MAX);
  const digits = roundTo(decimalOf(size), count)
    .toString()
    .padStart(count + 1, '0');
  const [before, after] = [digits.slice(0, digits.length - count), digits.slice(digits.length - count)];
  return before + pointed(after + '0'.repeat(places - count), keepsPoint);
}

const pointed = (after: string, keepsPoint: boolean): string => (after === '' && !keepsPoint ? '' : `.${after}`);

/** The digits of a size before and after the point, and its power of ten. */
function scientific(size: number, places: number): { digits: string; power: number } {
  const count = Math.min(places, PLACES_MAX);
  if (size === 0) return { digits: '0'.repeat(places + 1), power: 0 };
  const exact = decimalOf(size);
  const power = exact.whole.toString().length - exact.places - 1;
  const digits = roundTo(exact, count - power).toString();
  const isCarried = digits.length > count + 1;
  return { digits: digits.slice(0, count + 1) + '0'.repeat(places - count), power: isCarried ? power + 1 : power };
}

/** `%e` of a size. */
export function exponentText(size: number, { places, keepsPoint }: Written): string {
  const { digits, power } = scientific(size, places);
  return `${digits[0]}${pointed(digits.slice(1), keepsPoint)}${powerText(power)}`;
}

const powerText = (power: number): string => `e${power < 0 ? '-' : '+'}${String(Math.abs(power)).padStart(2, '0')}`;

/** `%g` of a size with so many digits that count; zeros at the end stay where the point does. */
export function generalText(size: number, { places, keepsPoint }: Written): string {
  const count = Math.max(1, places);
  const { power } = scientific(size, count - 1);
  const isFixed = power >= -4 && power < count;
  const text = isFixed
    ? fixedText(size, { places: count - 1 - power, keepsPoint })
    : exponentText(size, { places: count - 1, keepsPoint });
  return keepsPoint ? text : text.replace(/(\.\d*?)0+(?=e|$)/, '$1').replace(/\.(?=e|$)/, '');
}
