/** How long the rows of a file are, in tokens, before any is cut. */
export interface Lengths {
  rows: number;
  tokens: number;
  longest: number;
  /** Half, nine tenths, and 99 of 100 rows are at most so long. */
  p50: number;
  p90: number;
  p99: number;
  /** Rows of `from` to `to` tokens, both included: from the shortest on, up to 20 of one width. */
  histogram: { from: number; to: number; rows: number }[];
}

const BUCKETS_MAX = 20;

export function measureLengths(lengths: readonly number[]): Lengths {
  const sorted = Float64Array.from(lengths).sort();
  const at = (share: number): number => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
  return {
    rows: sorted.length,
    tokens: sorted.reduce((sum, length) => sum + length, 0),
    longest: at(1),
    p50: at(0.5),
    p90: at(0.9),
    p99: at(0.99),
    histogram: countLengths(sorted),
  };
}

function countLengths(sorted: Float64Array): Lengths['histogram'] {
  const [least = 0, most = 0] = [sorted[0], sorted.at(-1)];
  if (sorted.length === 0) return [];
  const width = roundUp((most - least + 1) / BUCKETS_MAX);
  const begin = Math.floor(least / width) * width;
  const buckets = Array.from({ length: Math.floor((most - begin) / width) + 1 }, (_, i) => ({
    from: begin + i * width,
    to: begin + (i + 1) * width - 1,
    rows: 0,
  }));
  for (const length of sorted) {
    const bucket = buckets[Math.floor((length - begin) / width)];
    if (bucket) bucket.rows += 1;
  }
  return buckets;
}

/** The next of 1, 2, 5, 10, 20, 50, … */
function roundUp(width: number): number {
  const unit = 10 ** Math.floor(Math.log10(Math.max(1, width)));
  return unit * ([1, 2, 5, 10].find((step) => step * unit >= width) ?? 10);
}
