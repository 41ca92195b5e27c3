import { centre, type Gap, type Series } from './bucket.js';
import type { Range } from './range.js';
import { smooth } from './smooth.js';

/** A line as uPlot wants it. */
export interface Line {
  x: number[];
  y: (number | null)[];
}

/** Where a line breaks off for a gap: at its step, or near the end of its bucket, past whatever was measured in it. */
const breakAt = ({ step }: Gap, every: number): number => (every === 1 ? step : step + every * 0.9);

/** A line with a break at each gap, so that nothing is drawn across it. */
function withBreaks(line: Line, { every, gaps = [] }: Series): Line {
  if (gaps.length === 0) return line;
  const points: [x: number, y: number | null][] = line.x.map((x, at) => [x, line.y[at] ?? null]);
  points.push(...gaps.map((gap): [number, null] => [breakAt(gap, every), null]));
  points.sort(([a], [b]) => a - b);
  return { x: points.map(([x]) => x), y: points.map(([, y]) => y) };
}

/**
 * The raw line. A bucket of one value is a point; a wider one becomes minimum, maximum and last, in that order and within its own steps,
 * so that every spike reaches its true height and the line ends at the newest value.
 */
export function rawLine(series: Series, log: boolean): Line {
  const line: Line = { x: [], y: [] };
  const put = (x: number, y: number): void => {
    line.x.push(x);
    line.y.push(!Number.isFinite(y) || (log && y <= 0) ? null : y);
  };
  for (const bucket of series.points) {
    if (series.every === 1 || bucket.n === 1) {
      put(bucket.step, bucket.last);
      continue;
    }
    const width = Math.min(series.every, bucket.n);
    put(bucket.step, bucket.min);
    put(bucket.step + width / 3, bucket.max);
    put(bucket.step + (width * 2) / 3, bucket.last);
  }
  return withBreaks(line, series);
}

/** The smoothed line of a whole run. */
export function smoothLine(series: Series, halfLife: number, log: boolean): Line {
  const { x, y } = smooth(series, halfLife);
  const line = { x, y: y.map((value) => (!Number.isFinite(value) || (log && value <= 0) ? null : value)) };
  return withBreaks(line, series);
}

/** The whole run's series, with the finer buckets of a window where they are known. */
export function withDetail(whole: Series, detail: Series | undefined, window: Range | null): Series {
  if (!window || !detail || detail.every >= whole.every || detail.points.length === 0) return whole;
  const inside = (step: number): boolean => step >= window[0] && step <= window[1];
  return {
    every: detail.every,
    points: detail.points.filter((bucket) => inside(centre(bucket, detail.every))),
    gaps: detail.gaps?.filter(({ step }) => inside(step)),
  };
}

/**
 * Lines on one x axis: the union of their x, and undefined (a gap to be bridged) where a line has no value. One pass, as every line is in
 * the order of its x: this runs for every chart at every redraw.
 */
export function alignLines(lines: readonly Line[]): [number[], ...(number | null | undefined)[][]] {
  const x: number[] = [];
  const columns: (number | null | undefined)[][] = lines.map(() => []);
  const at = lines.map(() => 0);
  for (;;) {
    let next = Number.POSITIVE_INFINITY;
    lines.forEach((line, index) => {
      const candidate = line.x[at[index] ?? 0];
      if (candidate !== undefined && candidate < next) next = candidate;
    });
    if (next === Number.POSITIVE_INFINITY) return [x, ...columns];
    x.push(next);
    lines.forEach((line, index) => {
      const here = at[index] ?? 0;
      const isHere = line.x[here] === next;
      columns[index]?.push(isHere ? (line.y[here] ?? null) : undefined);
      if (isHere) at[index] = here + 1;
    });
  }
}

/** The values of a line inside a window. */
export function valuesWithin(line: Line, [from, to]: Range): number[] {
  const values: number[] = [];
  line.x.forEach((x, index) => {
    const y = line.y[index];
    if (x >= from && x <= to && y !== null && y !== undefined) values.push(y);
  });
  return values;
}

/** The value of a line at a step: that of the nearest x at or before it; null before the first. */
export function valueAt(line: Line, step: number): number | null {
  let low = 0;
  let high = line.x.length - 1;
  let found = -1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    if ((line.x[middle] ?? Number.POSITIVE_INFINITY) <= step) {
      found = middle;
      low = middle + 1;
    } else high = middle - 1;
  }
  return found < 0 ? null : (line.y[found] ?? null);
}
