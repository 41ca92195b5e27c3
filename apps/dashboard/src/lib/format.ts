/** A number for people: its digits and, apart so that it can be shown weaker, its unit. */
export interface Quantity {
  value: string;
  unit: string;
}

const NONE: Quantity = { value: '–', unit: '' };

/** Three significant digits without a needless exponent: 0.513, 12.3, 1,234, 3e-4. */
export function digits(x: number | null | undefined, significant = 3): string {
  if (x === null || x === undefined || !Number.isFinite(x)) return '–';
  if (x === 0) return '0';
  const size = Math.abs(x);
  if (size < 1e-3) return trimExponent(x.toExponential(significant - 1));
  if (size >= 1e6) return trimExponent(x.toExponential(significant - 1));
  if (size >= 1000) return Math.round(x).toLocaleString('en-US');
  return x.toPrecision(significant);
}

/** A difference with its sign: +0.42, −3.13, 0. */
export const signed = (x: number): string => (x > 0 ? `+${digits(x)}` : digits(x).replace('-', '−'));

/** A number that somebody chose, as they would write it: 0.002, 3e-4. */
export const shortest = (x: number): string => (Math.abs(x) < 1e-3 ? digits(x) : String(Number(x.toPrecision(6))));

/** 3.00e-4 → 3e-4, 2.50e+6 → 2.5e6. */
const trimExponent = (text: string): string => text.replace(/\.?0+e/, 'e').replace('e+', 'e');

function scaled(x: number, steps: readonly string[], base: number): Quantity {
  let size = x;
  let at = 0;
  while (Math.abs(size) >= base && at < steps.length - 1) {
    size /= base;
    at++;
  }
  const value = at === 0 && Number.isInteger(x) ? String(x) : size >= 100 ? size.toFixed(0) : size.toPrecision(3);
  return { value, unit: steps[at] ?? '' };
}

/** Counts in SI: 987, 12.3 k, 1.30 M. */
export const si = (x: number | null | undefined, unit = ''): Quantity => {
  if (x === null || x === undefined || !Number.isFinite(x)) return NONE;
  const { value, unit: prefix } = scaled(x, ['', 'k', 'M', 'G', 'T'], 1000);
  return { value, unit: [prefix, unit].filter(Boolean).join(unit.startsWith('/') ? '' : ' ') };
};

/** Sizes in SI bytes: 812 B, 5.21 MB. */
export const bytes = (x: number | null | undefined): Quantity =>
  x === null || x === undefined ? NONE : scaled(x, ['B', 'kB', 'MB', 'GB', 'TB'], 1000);

/** Two units at most: 48 s, 2 m 14 s, 3 h 05 m, 2 d 4 h. */
export function duration(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return '–';
  const s = Math.max(0, Math.round(seconds));
  const two = (n: number): string => String(n).padStart(2, '0');
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} m ${two(s % 60)} s`;
  if (s < 86_400) return `${Math.floor(s / 3600)} h ${two(Math.floor((s % 3600) / 60))} m`;
  return `${Math.floor(s / 86_400)} d ${Math.floor((s % 86_400) / 3600)} h`;
}

/** A span of time that is not known exactly, in one unit and at most two digits: 40–55 s, 12–15 m, 1.5–2 h; one value where both round to it. */
export function durationRange(range: readonly [number, number] | null | undefined): string {
  if (!range) return '–';
  const [size, unit] = DURATION_UNITS.find(([size]) => range[1] >= 1.5 * size) ?? [1, 's'];
  const round = (seconds: number): number => {
    const x = seconds / size;
    const step = x >= 20 ? 5 : x >= 10 || unit === 's' ? 1 : x >= 3 ? 0.5 : 0.1;
    return Number((Math.round(x / step) * step).toPrecision(2));
  };
  const [low, high] = [round(range[0]), round(range[1])];
  return low === high ? `${high} ${unit}` : `${low}–${high} ${unit}`;
}

const DURATION_UNITS = [
  [86_400, 'd'],
  [3600, 'h'],
  [60, 'm'],
] as const;

/** How long ago, coarse enough not to flicker: now, 12 s, 4 m, 3 h, 2 d. */
export function age(atSeconds: number | null | undefined, nowSeconds: number): string {
  if (atSeconds === null || atSeconds === undefined) return '–';
  const s = Math.max(0, nowSeconds - atSeconds);
  if (s < 1) return 'now';
  if (s < 60) return `${Math.floor(s)} s`;
  if (s < 3600) return `${Math.floor(s / 60)} m`;
  if (s < 86_400) return `${Math.floor(s / 3600)} h`;
  return `${Math.floor(s / 86_400)} d`;
}

export const percent = (share: number | null | undefined, places = 0): string =>
  share === null || share === undefined ? '–' : `${(share * 100).toFixed(places)} %`;

const two = (n: number): string => String(n).padStart(2, '0');

/** Wall time of this machine, with seconds. */
export function clock(atSeconds: number): string {
  const at = new Date(atSeconds * 1000);
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

export function dateTime(atSeconds: number | null | undefined): string {
  if (atSeconds === null || atSeconds === undefined) return '–';
  const at = new Date(atSeconds * 1000);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${clock(atSeconds)}`;
}
