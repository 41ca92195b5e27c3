/** The nearest of 1, 2, 5, 10 times a power of ten at or above `rough`. */
function niceStep(rough: number): number {
  const magnitude = 10 ** Math.floor(Math.log10(rough));
  const share = rough / magnitude;
  return (share <= 1 ? 1 : share <= 2 ? 2 : share <= 5 ? 5 : 10) * magnitude;
}

/** Drops the dust of floating-point arithmetic: 0.30000000000000004 → 0.3. */
const clean = (x: number): number => Number(x.toPrecision(12));

/** Round values inside `[min, max]`, about `most` at the most, evenly spaced. */
export function linearTicks(min: number, max: number, most: number): number[] {
  if (!(max > min) || most < 1) return [];
  const step = niceStep((max - min) / most);
  const ticks: number[] = [];
  for (let at = Math.ceil(min / step); at * step <= max * (1 + 1e-12); at++) ticks.push(clean(at * step));
  return ticks;
}

const MANTISSAS: readonly (readonly number[])[] = [[1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 5], [1, 3], [1]];

/**
 * Labels of a logarithmic axis: as many of 1…9, 1-2-5, 1-3 or 1 times the powers of ten as fit, every few powers where even those are too
 * many, and evenly spaced values where the axis spans less than two of any. (uPlot's own loop for these does not end for ranges that do
 * not start at a power of ten.)
 */
export function logTicks(min: number, max: number, most: number): number[] {
  if (!(min > 0) || !(max > min) || most < 1) return [];
  const [first, last] = [Math.floor(Math.log10(min)), Math.floor(Math.log10(max))];
  for (const mantissas of MANTISSAS) {
    const ticks: number[] = [];
    for (let power = first; power <= last; power++)
      for (const mantissa of mantissas) {
        const tick = Number(`${mantissa}e${power}`);
        if (tick >= min && tick <= max) ticks.push(tick);
      }
    if (ticks.length < 2) break;
    if (ticks.length <= most) return ticks;
    if (mantissas.length === 1) {
      const every = Math.ceil(ticks.length / most);
      return ticks.filter((_, at) => at % every === 0);
    }
  }
  return linearTicks(min, max, most);
}

/** One way of writing for all ticks of an axis: SI from a thousand on, exponents where all are below a hundredth. */
export function tickTexts(ticks: readonly number[]): string[] {
  const largest = Math.max(...ticks.map(Math.abs), 0);
  return ticks.map((tick) => {
    if (tick === 0) return '0';
    if (largest < 1e-2) return tick.toExponential(2).replace(/\.?0+e/, 'e');
    if (largest >= 1e9) return `${clean(tick / 1e9)} G`;
    if (largest >= 1e6) return `${clean(tick / 1e6)} M`;
    if (largest >= 10_000) return `${clean(tick / 1000)} k`;
    return String(tick);
  });
}
