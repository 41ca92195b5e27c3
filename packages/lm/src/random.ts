/** A stream of uniform numbers in [0, 1), the same for the same seed. */
export type Random = () => number;

/** Mixes integers into one 32-bit integer; equal inputs give equal outputs, near inputs give far ones (murmur3's finaliser). */
export function mix32(...parts: number[]): number {
  let h = 0x9e3779b9;
  for (const part of parts) {
    h = Math.imul(h ^ (part | 0), 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
    h ^= h >>> 16;
  }
  return h | 0;
}

/** Hash of a name, to give every tensor a stream of its own whatever the order of creation. */
export function hashName(name: string): number {
  let h = 0;
  for (let i = 0; i < name.length; i++) h = mix32(h, name.charCodeAt(i));
  return h;
}

/** Seeded uniform numbers with 32 bits each (Marsaglia's xorwow). */
export function createRandom(seed: number): Random {
  let x = mix32(seed, 1) | 1;
  let y = mix32(seed, 2);
  let z = mix32(seed, 3);
  let w = mix32(seed, 4);
  let v = mix32(seed, 5);
  let counter = mix32(seed, 6);
  return () => {
    const t = x ^ (x >>> 2);
    x = y;
    y = z;
    z = w;
    w = v;
    v = v ^ (v << 4) ^ (t ^ (t << 1));
    counter = (counter + 362437) | 0;
    return ((v + counter) >>> 0) / 4294967296;
  };
}

/** `count` numbers from a normal distribution with mean 0 (Box and Muller). */
export function normal(random: Random, count: number, std: number): Float32Array {
  const values = new Float32Array(count);
  for (let i = 0; i < count; i += 2) {
    const radius = std * Math.sqrt(-2 * Math.log(1 - random()));
    const angle = 2 * Math.PI * random();
    values[i] = radius * Math.cos(angle);
    if (i + 1 < count) values[i + 1] = radius * Math.sin(angle);
  }
  return values;
}

/** `count` numbers uniform in [-bound, bound). */
export function uniform(random: Random, count: number, bound: number): Float32Array {
  return Float32Array.from({ length: count }, () => (2 * random() - 1) * bound);
}

/** A stream of numbers that depends on a seed and a name alone. */
export const seededFor = (name: string, seed: number): Random => createRandom(mix32(seed, hashName(name)));
