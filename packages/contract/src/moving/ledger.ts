export type Json = Record<string, unknown>;

/** A key of a job, dotted, and what becomes of it. */
export interface Line {
  key: string;
  text: string;
}

export interface Lines {
  kept: Line[];
  dropped: Line[];
}

/**
 * Reads an object key by key and keeps account: each key with something in it becomes a line of what is kept or of what is dropped, unless it was passed
 * over as a fact about the past. A key that nobody asked for is dropped by name.
 */
export interface Ledger {
  /** The value of a key that must become a line; undefined where it is absent or empty. */
  take(key: string): unknown;
  keep(key: string, value: unknown, remark?: string): void;
  drop(key: string, why: string): void;
  /** Takes keys that say what became of the job, or name it: nothing to carry over. */
  pass(keys: readonly string[]): void;
  /** The ledger of an object inside, on the same lines; undefined where there is none. */
  inside(key: string): Ledger | undefined;
  /** Drops what nobody asked for. */
  close(): void;
}

export const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isEmpty = (value: unknown): boolean =>
  value === undefined ||
  value === null ||
  value === '' ||
  (Array.isArray(value) && value.length === 0) ||
  (isObject(value) && Object.values(value).every(isEmpty));

/** Values that are short enough for a line; what is nested is not shown: it may hold somebody's keys. */
const said = (value: unknown): string => (typeof value === 'object' ? '' : String(value));

export function openLedger(source: Json, lines: Lines, above = ''): Ledger {
  const read = new Set<string>();
  const children: Ledger[] = [];
  const ledger: Ledger = {
    take: (key) => {
      read.add(key);
      return isEmpty(source[key]) ? undefined : source[key];
    },
    keep: (key, value, remark) => {
      lines.kept.push({ key: above + key, text: [said(value), remark].filter(Boolean).join(', ') });
    },
    drop: (key, why) => {
      read.add(key);
      lines.dropped.push({ key: above + key, text: [said(source[key]), why].filter(Boolean).join(': ') });
    },
    pass: (keys) => {
      for (const key of keys) read.add(key);
    },
    inside: (key) => {
      const value = source[key];
      if (!isObject(value)) return undefined;
      read.add(key);
      const child = openLedger(value, lines, `${above}${key}.`);
      children.push(child);
      return child;
    },
    close: () => {
      for (const [key, value] of Object.entries(source))
        if (!read.has(key) && !isEmpty(value) && value !== false) ledger.drop(key, 'has no counterpart here');
      for (const child of children) child.close();
    },
  };
  return ledger;
}

/** A number within bounds, kept; another value is dropped with the bounds. */
export function keepNumber(
  ledger: Ledger,
  key: string,
  [least, most]: readonly [number, number],
  remark?: string,
): number | undefined {
  const value = ledger.take(key);
  if (value === undefined) return undefined;
  if (typeof value === 'number' && value >= least && value <= most) {
    ledger.keep(key, value, remark);
    return value;
  }
  ledger.drop(key, `a number from ${least} to ${most} is taken here`);
  return undefined;
}

/** The same of a whole number. */
export function keepWhole(
  ledger: Ledger,
  key: string,
  bounds: readonly [number, number],
  remark?: string,
): number | undefined {
  const value = ledger.take(key);
  if (value === undefined || Number.isInteger(value)) return keepNumber(ledger, key, bounds, remark);
  ledger.drop(key, `a whole number from ${bounds[0]} to ${bounds[1]} is taken here`);
  return undefined;
}

/** A text, kept; one that is too long is dropped. */
export function keepText(ledger: Ledger, key: string, longest: number): string | undefined {
  const value = ledger.take(key);
  if (value === undefined) return undefined;
  if (typeof value === 'string' && value.length <= longest) {
    ledger.keep(key, value);
    return value;
  }
  ledger.drop(key, `a text of at most ${longest} letters is taken here`);
  return undefined;
}

/** An object without its keys that hold nothing; undefined where all hold nothing. */
export function filled(values: Json): Json | undefined {
  const set = Object.entries(values).filter(([, value]) => value !== undefined);
  return set.length === 0 ? undefined : Object.fromEntries(set);
}

/** Bounds of a request here. */
export const BOUNDS = {
  epochs: [1, 50],
  batch: [1, 256],
  rows: [1, 4096],
  rate: [Number.MIN_VALUE, 10],
  multiplier: [Number.MIN_VALUE, Number.MAX_VALUE],
  rank: [1, 1024],
  seed: [0, 2 ** 31 - 1],
  share: [0, 1],
  dropout: [0, 0.95],
  steps: [1, 10_000_000],
  tokens: [2, 2 ** 24],
} as const;
