/** Places of values on an axis, and the round numbers that are written at it. */
export interface Scale {
  ticks: number[];
  /** 0 at the low end, 1 at the high one. */
  at: (value: number) => number;
}

/** From the least to the largest value, with a margin on both sides; ticks are 1, 2 or 5 times a power of ten apart. */
export function linearScale(values: readonly number[], margin: number, count: number): Scale {
  const [low, high] = extent(values);
  const room = (high - low) * margin || Math.abs(low) * 0.1 || 1;
  const [from, to] = [low - room, high + room];
  const step = niceStep((to - from) / count);
  const ticks: number[] = [];
  for (let k = Math.ceil(from / step); k * step <= to; k += 1) ticks.push(Number((k * step).toPrecision(12)));
  return { ticks, at: (value) => (value - from) / (to - from) };
}

/** As `linearScale` in the logarithm; ticks are powers of ten, with their 2 and 5 times where those are few. */
export function logScale(values: readonly number[], margin: number): Scale {
  const [low, high] = extent(values.map((value) => Math.log10(value)));
  const room = (high - low) * margin || 0.5;
  const [from, to] = [low - room, high + room];
  const within = (factors: readonly number[]): number[] => {
    const found: number[] = [];
    for (let power = Math.floor(from); power <= to; power += 1)
      for (const factor of factors) {
        const tick = Number((factor * 10 ** power).toPrecision(12));
        if (Math.log10(tick) >= from && Math.log10(tick) <= to) found.push(tick);
      }
    return found;
  };
  const decades = within([1]);
  return {
    ticks: decades.length >= 3 ? decades : within([1, 2, 5]),
    at: (value) => (Math.log10(value) - from) / (to - from),
  };
}

function extent(values: readonly number[]): [number, number] {
  const known = values.filter(Number.isFinite);
  if (known.length === 0) return [0, 1];
  return known.reduce(
    ([low, high], value) => [Math.min(low, value), Math.max(high, value)],
    [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
  );
}

function niceStep(rough: number): number {
  const power = 10 ** Math.floor(Math.log10(rough));
  const factor = [1, 2, 5].find((one) => one * power >= rough) ?? 10;
  return factor * power;
}

/** A number as an axis or a label has it. */
export const tickText = (value: number): string => {
  const short = Number(value.toPrecision(4));
  return short !== 0 && (Math.abs(short) < 0.001 || Math.abs(short) >= 1e6)
    ? short.toExponential().replace('-', '−').replace('e+', 'e')
    : String(short).replace('-', '−');
};
