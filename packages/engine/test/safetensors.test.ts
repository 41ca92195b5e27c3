// Expected numbers: the format's own description (8-byte little-endian header size, JSON, bytes) and IEEE 754 by hand.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { readSafetensors, readSafetensorsHeader, writeSafetensors } from '../src/safetensors.js';
import { temporaryFolder } from './helpers.js';

const folder = temporaryFolder();
let files = 0;

/** A file from a header (object or text) and a number of zero bytes, or given bytes. */
function raw(header: unknown, data: Uint8Array | number, headerSize?: bigint): string {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(headerSize ?? BigInt(json.length));
  const file = path.join(folder, `raw-${files++}.safetensors`);
  writeFileSync(file, Buffer.concat([size, json, typeof data === 'number' ? Buffer.alloc(data) : data]));
  return file;
}
const tensor = (dtype: string, shape: number[], begin: number, end: number) => ({
  dtype,
  shape,
  data_offsets: [begin, end],
});

describe('round trip', () => {
  test('every array type comes back with its values, its shape and the metadata', () => {
    const file = path.join(folder, 'all.safetensors');
    const tensors = new Map([
      ['f32', { shape: [2, 2], data: new Float32Array([1, -2.5, 3e-39, Number.POSITIVE_INFINITY]) }],
      ['i32', { shape: [3], data: new Int32Array([-1, 0, 2147483647]) }],
      ['u8', { shape: [1, 3], data: new Uint8Array([0, 1, 255]) }],
      ['i64', { shape: [1], data: new BigInt64Array([-(2n ** 62n)]) }],
      ['scalar', { shape: [], data: new Float32Array([7]) }],
      ['empty', { shape: [0, 4], data: new Float32Array(0) }],
    ]);
    writeSafetensors(file, tensors, { format: 'pt', note: 'ü' });
    const back = readSafetensors(file);
    expect(back.metadata).toEqual({ format: 'pt', note: 'ü' });
    expect(back.tensors.size).toBe(tensors.size);
    for (const [name, { shape, data }] of tensors) {
      expect(back.tensors.get(name)?.shape).toEqual(shape);
      expect(back.tensors.get(name)?.data).toEqual(data);
    }
  });

  test('equal tensors give equal bytes whatever their order, and the data begins on a multiple of eight', () => {
    const a = { shape: [1], data: new Float32Array([1]) };
    const b = { shape: [3], data: new Uint8Array([1, 2, 3]) };
    const [one, two] = [path.join(folder, 'one.safetensors'), path.join(folder, 'two.safetensors')];
    writeSafetensors(
      one,
      new Map<string, typeof a | typeof b>([
        ['a', a],
        ['b', b],
      ]),
    );
    writeSafetensors(
      two,
      new Map<string, typeof a | typeof b>([
        ['b', b],
        ['a', a],
      ]),
    );
    expect(readFileSync(one).equals(readFileSync(two))).toBe(true);
    expect(readSafetensorsHeader(one).dataStart % 8).toBe(0);
  });

  test('a view into a larger buffer writes only its own part', () => {
    const file = path.join(folder, 'view.safetensors');
    writeSafetensors(file, new Map([['v', { shape: [2], data: new Float32Array([1, 2, 3, 4]).subarray(1, 3) }]]));
    expect(readSafetensors(file).tensors.get('v')?.data).toEqual(new Float32Array([2, 3]));
  });

  test('only the names that are asked for are read', () => {
    const file = path.join(folder, 'all.safetensors');
    expect([...readSafetensors(file, (name) => name === 'u8').tensors.keys()]).toEqual(['u8']);
  });

  test('a failed write leaves neither the file nor a temporary one', () => {
    const lonely = temporaryFolder();
    const bad = new Map([['x', { shape: [3], data: new Float32Array(2) }]]);
    expect(() => writeSafetensors(path.join(lonely, 'x.safetensors'), bad)).toThrow(/\[3\] = 3 values, but 2/);
    const wrongType = new Map([['x', { shape: [2], data: new Int32Array(2), dtype: 'BF16' as const }]]);
    expect(() => writeSafetensors(path.join(lonely, 'x.safetensors'), wrongType)).toThrow(/cannot be written as BF16/);
    expect(readdirSync(lonely)).toEqual([]);
  });
});

describe('half precision', () => {
  const bytes = (...words: number[]): Uint8Array => new Uint8Array(Uint16Array.from(words).buffer);

  test('bf16 decodes by its bits: 1, -2, 3.140625, the smallest subnormal, infinity, NaN', () => {
    const file = raw({ x: tensor('BF16', [6], 0, 12) }, bytes(0x3f80, 0xc000, 0x4049, 0x0001, 0x7f80, 0x7fc0));
    const expected = [1, -2, 3.140625, 2 ** -133, Number.POSITIVE_INFINITY, Number.NaN];
    expect([...(readSafetensors(file).tensors.get('x')?.data ?? [])]).toEqual(expected);
  });

  test('f16 decodes by its bits: 1, -2, 65504, smallest normal, smallest and largest subnormal, -0, infinity, NaN', () => {
    const words = [0x3c00, 0xc000, 0x7bff, 0x0400, 0x0001, 0x03ff, 0x8000, 0xfc00, 0x7e00];
    const file = raw({ x: tensor('F16', [9], 0, 18) }, bytes(...words));
    const expected = [1, -2, 65504, 2 ** -14, 2 ** -24, 1023 * 2 ** -24, -0, Number.NEGATIVE_INFINITY, Number.NaN];
    expect([...(readSafetensors(file).tensors.get('x')?.data ?? [])]).toEqual(expected);
  });

  test.each(['F16', 'BF16'] as const)('every %s value survives reading and writing', (dtype) => {
    const words = Uint16Array.from({ length: 65536 }, (_, i) => i);
    const file = raw({ x: tensor(dtype, [65536], 0, 131072) }, new Uint8Array(words.buffer));
    const values = readSafetensors(file).tensors.get('x')?.data;
    if (!(values instanceof Float32Array)) throw new Error('not floats');
    const copy = path.join(folder, `copy-${dtype}.safetensors`);
    writeSafetensors(copy, new Map([['x', { shape: [65536], data: values, dtype }]]));
    const again = readSafetensors(copy).tensors.get('x')?.data;
    expect(again).toEqual(values); // NaN payloads may change, NaN stays NaN
  });

  test('writing rounds to the nearest value and ties to even', () => {
    const file = path.join(folder, 'rounded.safetensors');
    const values = new Float32Array([1 + 2 ** -8, 1 + 3 * 2 ** -8, 1 + 2 ** -8 + 2 ** -20, 3.4e38]);
    writeSafetensors(file, new Map([['x', { shape: [4], data: values, dtype: 'BF16' as const }]]));
    const bf16 = [1, 1 + 2 ** -6, 1 + 2 ** -7, Number.POSITIVE_INFINITY];
    expect([...(readSafetensors(file).tensors.get('x')?.data ?? [])]).toEqual(bf16);
    const halves = new Float32Array([1 + 2 ** -11, 1 + 3 * 2 ** -11, 65519.9, 65520, 2 ** -25, 3 * 2 ** -25, -1e-10]);
    writeSafetensors(file, new Map([['x', { shape: [7], data: halves, dtype: 'F16' as const }]]));
    const f16 = [1, 1 + 2 ** -9, 65504, Number.POSITIVE_INFINITY, 0, 2 ** -23, -0];
    expect([...(readSafetensors(file).tensors.get('x')?.data ?? [])]).toEqual(f16);
  });
});

describe('a damaged file is refused with the reason', () => {
  const a = tensor('F32', [2], 0, 8);
  test.each<[string, () => string, RegExp]>([
    ['an empty header', () => raw('', 0), /not JSON/],
    ['a header larger than the format allows', () => raw('{}', 0, 100_000_001n), /header of 100000001 bytes/],
    ['a header size beyond 2^53', () => raw('{}', 0, 2n ** 63n), /header of 9223372036854775808 bytes/],
    ['a header that goes on behind the end', () => raw('{}', 0, 50n), /cut short inside its header/],
    ['text that is not JSON', () => raw('{"a":', 0), /not JSON/],
    ['a list as header', () => raw('[]', 0), /not a JSON object/],
    ['a hole between tensors', () => raw({ a, b: tensor('F32', [1], 12, 16) }, 16), /hole of 4 bytes before b/],
    ['an overlap', () => raw({ a, b: tensor('F32', [1], 4, 8) }, 8), /b overlaps the tensor before it by 4/],
    ['missing bytes', () => raw({ a }, 7), /8 bytes of tensors are announced, 7 are there/],
    ['bytes that belong to nothing', () => raw({ a }, 9), /1 bytes after the last tensor/],
    ['a size that disagrees with the shape', () => raw({ a: tensor('F32', [3], 0, 8) }, 8), /needs 12 bytes but has 8/],
    ['an unknown type', () => raw({ a: tensor('F3', [8], 0, 8) }, 8), /has type F3/],
    ['half a byte', () => raw({ a: tensor('F4', [3], 0, 2) }, 2), /a F4 \[3\] needs 1\.5 bytes but has 2/],
    ['a negative size', () => raw({ a: tensor('F32', [-2], 0, 8) }, 8), /not a list of sizes/],
    ['a fraction as offset', () => raw({ a: tensor('F32', [2], 0, 8.5) }, 8), /not a pair of sizes/],
    ['metadata that is not text', () => raw({ __metadata__: { a: 1 } }, 0), /__metadata__.a is not a string/],
    ['a name given twice', () => raw(`{"a":${JSON.stringify(a)},"a":${JSON.stringify(a)}}`, 8), /"a" appears twice/],
  ])('%s', (_name, make, reason) => {
    const file = make();
    expect(() => readSafetensors(file)).toThrow(reason);
    expect(() => readSafetensors(file)).toThrow(expect.objectContaining({ code: 'safetensors_invalid' }));
  });

  test('a tensor of a type that is not read leaves the file valid and the others readable', () => {
    const file = raw({ a: tensor('F8_E4M3', [2], 0, 2), b: tensor('F4', [3, 2], 2, 5), c: tensor('U8', [1], 5, 6) }, 6);
    expect(readSafetensorsHeader(file).entries.map(({ dtype }) => dtype)).toEqual(['F8_E4M3', 'F4', 'U8']);
    expect(readSafetensors(file, (name) => name === 'c').tensors.get('c')?.data).toEqual(new Uint8Array([0]));
    expect(() => readSafetensors(file)).toThrow(
      expect.objectContaining({
        code: 'safetensors_unsupported',
        message: `${file}: a is stored as F8_E4M3, whose numbers are not read.`,
      }),
    );
  });

  test('fewer than eight bytes', () => {
    const file = path.join(folder, 'seven');
    writeFileSync(file, Buffer.alloc(7));
    expect(() => readSafetensors(file)).toThrow(/it has 7 bytes/);
  });
});
