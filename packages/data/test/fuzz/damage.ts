import { createRandom, type Random } from '../../src/random.js';

// What a file becomes when somebody edits it, a disk cuts it, or somebody means harm. All of it follows from the seed.

const ODD_VALUES: readonly unknown[] = [
  ...[null, true, false, 0, -1, 1, 0.5, 2 ** 31, 2 ** 53, 1e308, -1e308, 5e-324, -0],
  ...[
    '',
    ' ',
    '\u0000',
    '\ud83d',
    '__proto__',
    'constructor',
    '../../x',
    'x'.repeat(5_000),
    '(a+)+$',
    '\\',
    '[',
    '<s>',
  ],
  ...[[], {}, [[]], [null], [0, 1], { a: 1 }, { type: 'Sequence' }, { Regex: '(' }, { String: '' }],
  ...[Array(3_000).fill(0), Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`k${i}`, i]))],
];

export interface Damage extends Random {
  /** JSON with some of its values changed, taken out, or said twice; sometimes no JSON any more. */
  json(text: string): string;
  /** Bytes that are cut, turned, put in or doubled. */
  bytes(bytes: Uint8Array): Buffer;
}

export function createDamage(seed: number, stream: number): Damage {
  const random = createRandom(seed, stream);
  const json = (text: string): string => {
    const value: unknown = JSON.parse(text);
    for (let left = random.int(1, 3); left > 0; left--) changeSomewhere(value, random);
    const written = random.chance(0.1) ? withTwice(JSON.stringify(value), random) : JSON.stringify(value);
    return random.chance(0.1) ? bytes(Buffer.from(written)).toString('latin1') : written;
  };
  const bytes = (given: Uint8Array): Buffer => {
    let now = Buffer.from(given);
    for (let left = random.int(1, 4); left > 0; left--) now = damageBytes(now, random);
    return now;
  };
  return { ...random, json, bytes };
}

function changeSomewhere(value: unknown, random: Random): void {
  if (typeof value !== 'object' || value === null) return;
  const inner = value as Record<string, unknown>;
  const keys = Object.keys(inner);
  const key = keys.length === 0 || random.chance(0.1) ? random.pick(['extra', '__proto__x', '0']) : random.pick(keys);
  const child = inner[key];
  if (typeof child === 'object' && child !== null && random.chance(0.7)) changeSomewhere(child, random);
  else if (random.chance(0.2)) delete inner[key];
  else inner[key] = random.chance(0.1) ? deep(random.int(2, 3_000)) : structuredClone(random.pick(ODD_VALUES));
}

function deep(levels: number): unknown {
  let value: unknown = 1;
  for (let i = 0; i < levels; i++) value = i % 2 === 0 ? [value] : { a: value };
  return value;
}

function withTwice(text: string, random: Random): string {
  const places = [...text.matchAll(/"[\w.]+":(?:\d+|"\w*"|true|false|null),/g)];
  const found = places.length > 0 ? random.pick(places) : undefined;
  return found ? text.slice(0, found.index) + found[0] + text.slice(found.index) : text;
}

function damageBytes(now: Buffer<ArrayBuffer>, random: Random): Buffer<ArrayBuffer> {
  const at = random.int(0, now.length);
  switch (random.int(0, 4)) {
    case 0:
      return now.subarray(0, at);
    case 1: {
      const turned = Buffer.from(now);
      if (at < turned.length) turned[at] = random.int(0, 255);
      return turned;
    }
    case 2:
      return Buffer.concat([now.subarray(0, at), Buffer.from([random.int(0, 255), 0xff, 0]), now.subarray(at)]);
    case 3:
      return Buffer.concat([now.subarray(0, at), now.subarray(Math.max(0, at - 40), at), now.subarray(at)]);
    default: {
      const head = Buffer.from(now);
      // Lengths and offsets are numbers of eight bytes.
      if (head.length >= 8) head.writeBigUInt64LE(BigInt(random.int(0, 2 ** 31 - 1)) << BigInt(random.int(0, 30)), 0);
      return head;
    }
  }
}
