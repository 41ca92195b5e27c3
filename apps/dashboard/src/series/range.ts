export type Range = readonly [number, number];

/**
 * The x axis of a live run: from 0 to the first of `steps`, `steps / 2`, `steps / 4` … that holds the newest step. It grows by
 * doubling, so labels stay put between the jumps, and ends exactly at the run's end.
 */
export function stepRange(newestStep: number, steps: number): Range {
  let end = Math.max(1, steps, newestStep);
  while (end / 2 >= Math.max(newestStep * 1.02, 16)) end /= 2;
  return [0, Math.ceil(end)];
}

const quantile = (sorted: readonly number[], share: number): number => {
  const at = (sorted.length - 1) * share;
  const low = sorted[Math.floor(at)] ?? Number.NaN;
  const high = sorted[Math.ceil(at)] ?? low;
  return low + (high - low) * (at - Math.floor(at));
};

function ends(values: readonly number[]): Range {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

function middle(values: readonly number[]): Range {
  const sorted = [...values].sort((a, b) => a - b);
  return [quantile(sorted, 0.05), quantile(sorted, 0.95)];
}

export interface ValueRangeOptions {
  log: boolean;
  /** From the 5th to the 95th percentile; what is outside is still drawn, and cut off by the frame. */
  ignoreOutliers: boolean;
}

/** The y axis for values: their range and a little air; null where there is nothing to show. On a log axis only positive values count. */
export function valueRange(values: readonly number[], { log, ignoreOutliers }: ValueRangeOptions): Range | null {
  const usable = values.filter((value) => Number.isFinite(value) && (!log || value > 0));
  if (usable.length === 0) return null;
  const [low, high] = ignoreOutliers ? middle(usable) : ends(usable);
  if (log) {
    const factor = high > low ? (high / low) ** 0.06 : 1.1;
    return [low / factor, high * factor];
  }
  const air = (high - low) * 0.06 || Math.abs(high) * 0.1 || 1;
  // A quantity that is never negative keeps zero as its floor.
  return [low >= 0 && low - air < 0 ? 0 : low - air, high + air];
}
