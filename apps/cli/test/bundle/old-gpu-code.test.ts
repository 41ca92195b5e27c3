import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { oldGpuCode, withZeros } from '../../src/bundle/old-gpu-code.js';

const dir = mkdtempSync(path.join(tmpdir(), 'moraine gpu '));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const PTX = 1;
const COMPILED = 2;

/** A fat binary as NVIDIA's linker writes it: a head, then entries with a head of 64 bytes and their code. */
function fatBinary(...entries: { kind: number; arch: number; code: number }[]): Buffer {
  const bodies = entries.map(({ kind, arch, code }) => {
    const head = Buffer.alloc(64);
    head.writeUInt16LE(kind, 0);
    head.writeUInt16LE(0x101, 2);
    head.writeUInt32LE(64, 4);
    head.writeBigUInt64LE(BigInt(code), 8);
    head.writeUInt32LE(arch, 28);
    return Buffer.concat([head, Buffer.alloc(code, arch)]);
  });
  const body = Buffer.concat(bodies);
  const head = Buffer.alloc(16);
  head.set([0x50, 0xed, 0x55, 0xba, 1, 0, 16, 0]);
  head.writeBigUInt64LE(BigInt(body.length), 8);
  return Buffer.concat([head, body]);
}

const library = (...pieces: Buffer[]): string => {
  const file = path.join(dir, 'lib.so');
  writeFileSync(file, Buffer.concat(pieces));
  return file;
};

test('compiled code for older cards is found in every fat binary; newer code and PTX are not touched', () => {
  const first = fatBinary(
    { kind: COMPILED, arch: 50, code: 40 },
    { kind: COMPILED, arch: 80, code: 24 },
    { kind: PTX, arch: 52, code: 8 },
  );
  const second = fatBinary({ kind: COMPILED, arch: 61, code: 16 }, { kind: COMPILED, arch: 70, code: 16 });
  const gap = 5000;
  const ranges = oldGpuCode(library(Buffer.alloc(100, 7), first, Buffer.alloc(gap), second), 70);
  const start = 100 + 16 + 64;
  const other = 100 + first.length + gap + 16 + 64;
  expect(ranges).toEqual([
    { begin: start, end: start + 40 },
    { begin: other, end: other + 16 },
  ]);
});

test('bytes that only look like a fat binary are left alone', () => {
  const cut = fatBinary({ kind: COMPILED, arch: 50, code: 40 }).subarray(0, 60);
  const odd = fatBinary({ kind: COMPILED, arch: 50, code: 40 });
  odd.writeBigUInt64LE(1000n, 16 + 8); // an entry that is longer than the whole
  const real = fatBinary({ kind: COMPILED, arch: 60, code: 4 });
  const file = library(odd, real, cut);
  expect(oldGpuCode(file, 70)).toEqual([{ begin: odd.length + 80, end: odd.length + 84 }]);
});

test('a library without fat binaries has nothing to leave out', () => {
  expect(oldGpuCode(library(Buffer.alloc(10_000, 0x50)), 70)).toEqual([]);
});

test('ranges become zeros wherever the chunks of a stream are cut', async () => {
  const bytes = Buffer.from(Array.from({ length: 50 }, (_, i) => i + 1));
  const ranges = [
    { begin: 3, end: 5 },
    { begin: 9, end: 31 },
    { begin: 49, end: 50 },
  ];
  const wanted = Buffer.from(bytes);
  for (const { begin, end } of ranges) wanted.fill(0, begin, end);
  for (const size of [1, 7, 10, 50]) {
    const chunks = async function* () {
      for (let at = 0; at < bytes.length; at += size) yield Buffer.from(bytes.subarray(at, at + size));
    };
    const made: Buffer[] = [];
    for await (const chunk of withZeros(chunks(), ranges)) made.push(chunk);
    expect(Buffer.concat(made)).toEqual(wanted);
  }
});
