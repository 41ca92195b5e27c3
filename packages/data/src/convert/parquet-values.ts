import type { parquetMetadata } from 'hyparquet';
import { DEFAULT_PARSERS } from 'hyparquet/src/convert.js';

type Parsers = typeof DEFAULT_PARSERS;

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** JSON as it is written. */
class Written {
  constructor(readonly json: string) {}
}

/** Texts, days and times as texts, JSON as it is written; bytes that are no UTF-8 where a text is declared are an error. */
export const PARSERS: Parsers = {
  ...DEFAULT_PARSERS,
  stringFromBytes: (bytes) => (bytes === undefined ? undefined : decoder.decode(bytes)),
  jsonFromBytes: (bytes) => (bytes === undefined ? undefined : new Written(inOneLine(decoder.decode(bytes)))),
  timestampFromMilliseconds: (value) => timeOf(value, 3),
  timestampFromMicroseconds: (value) => timeOf(value, 6),
  timestampFromNanoseconds: (value) => timeOf(value, 9),
  dateFromDays: (days) => (days === undefined ? undefined : timeOf(BigInt(days) * 86_400_000n, 3)?.slice(0, 10)),
};

/** For the least and greatest values that a table keeps of its columns, which nobody reads and which may be cut. */
export const NO_PARSERS = Object.fromEntries(
  Object.keys(DEFAULT_PARSERS).map((name) => [name, () => undefined]),
) as unknown as Parsers;

/** A time since 1970 in units of ten to the minus `digits` of a second, as ISO 8601 with all its digits. */
function timeOf(value: bigint | undefined, digits: number): string | undefined {
  if (value === undefined) return undefined;
  const unit = 10n ** BigInt(digits);
  const part = ((value % unit) + unit) % unit;
  const date = new Date(Number((value - part) / unit) * 1000);
  if (Number.isNaN(date.getTime())) throw new RangeError(`the time ${value} is out of bounds`);
  return `${date.toISOString().slice(0, -4)}${String(part).padStart(digits, '0')}Z`;
}

function inOneLine(json: string): string {
  JSON.parse(json);
  return json.replaceAll(/[\r\n]+/g, ' ');
}

/**
 * A value of a table as JSON with every digit of a whole number; undefined for null, which a table writes where a key is absent, and for bytes
 * that are no text.
 */
export function toJson(value: unknown): string | undefined {
  if (value === null || value === undefined) return undefined;
  if (typeof value === 'bigint') return String(value);
  if (typeof value === 'string' || typeof value === 'boolean') return JSON.stringify(value);
  if (typeof value === 'number') return Number.isFinite(value) ? JSON.stringify(value) : undefined;
  if (value instanceof Written) return value.json;
  if (value instanceof Uint8Array) return textOf(value);
  if (Array.isArray(value) || ArrayBuffer.isView(value))
    return `[${Array.from(value as unknown[], (item) => toJson(item) ?? 'null').join(',')}]`;
  const entries = Object.entries(value as object).flatMap(([key, of]) => {
    const json = toJson(of);
    return json === undefined ? [] : [`${JSON.stringify(key)}:${json}`];
  });
  return `{${entries.join(',')}}`;
}

function textOf(bytes: Uint8Array): string | undefined {
  try {
    return JSON.stringify(decoder.decode(bytes));
  } catch {
    return undefined;
  }
}

/** Decimals with more digits than a number has, which would be rounded; null where there are none. */
export function wideDecimal({ schema }: ReturnType<typeof parquetMetadata>): string | null {
  const wide = schema.find(({ converted_type: type, precision = 0 }) => type === 'DECIMAL' && precision > 15);
  return wide === undefined ? null : wide.name;
}
