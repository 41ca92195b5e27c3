/**
 * Seeded random numbers for data order, resampling and the corpus generator: small, fast and the same on every machine.
 * Not for secrets.
 */
export interface Random {
  /** A float in [0, 1). */
  next(): number;
  /** An integer in [low, high], both ends included. */
  int(low: number, high: number): number;
  /** True with probability p. */
  chance(p: number): boolean;
  /** One item of a non-empty list. */
  pick<T>(items: readonly T[]): T;
  /** One index, drawn with the given non-negative weights. */
  weighted(weights: readonly number[]): number;
  /** n different items in random order. */
  sample<T>(items: readonly T[], n: number): T[];
  /** A shuffled copy. */
  shuffle<T>(items: readonly T[]): T[];
}

/** Mixes a 32-bit counter into a well spread 32-bit word (the murmur3 finaliser). */
function mix(value: number): number {
  let z = value | 0;
  z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
  z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
  return (z ^ (z >>> 16)) >>> 0;
}

/**
 * A generator whose numbers depend on `seed` and `stream` alone; different streams of one seed are unrelated,
 * so that item k of a corpus can be drawn without drawing items 0..k-1.
 * Source: sfc32 (Chris Doty-Humphrey, PractRand), seeded through the murmur3 finaliser, first 12 words dropped.
 */
export function createRandom(seed: number, stream = 0): Random {
  let a = mix(seed + 0x9e3779b9);
  let b = mix(Math.floor(seed / 0x100000000) ^ 0x243f6a88 ^ a);
  let c = mix(stream ^ 0xb7e15162 ^ b);
  let counter = 1;
  const word = (): number => {
    const t = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + t;
    c |= 0;
    return t >>> 0;
  };
  for (let i = 0; i < 12; i += 1) word();

  const next = (): number => word() / 0x100000000;
  const int = (low: number, high: number): number => low + Math.floor(next() * (high - low + 1));
  const shuffleFirst = <T>(items: readonly T[], n: number): T[] => {
    if (n > items.length) throw new RangeError(`Cannot draw ${n} different items from ${items.length}.`);
    const copy = items.slice();
    for (let i = 0; i < n; i += 1) {
      const j = int(i, copy.length - 1);
      const kept = copy[i] as T;
      copy[i] = copy[j] as T;
      copy[j] = kept;
    }
    copy.length = n;
    return copy;
  };
  return {
    next,
    int,
    chance: (p) => next() < p,
    pick: <T>(items: readonly T[]): T => {
      if (items.length === 0) throw new RangeError('Cannot pick from an empty list.');
      return items[int(0, items.length - 1)] as T;
    },
    weighted: (weights) => {
      let left = next() * weights.reduce((sum, w) => sum + w, 0);
      for (let i = 0; i < weights.length; i += 1) {
        left -= weights[i] as number;
        if (left < 0) return i;
      }
      return weights.length - 1;
    },
    sample: shuffleFirst,
    shuffle: (items) => shuffleFirst(items, items.length),
  };
}
