import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { bfloat16Instructions } from '../src/processor.js';

const dir = mkdtempSync(join(tmpdir(), 'moraine-cpuinfo-'));
const cpuinfo = (line: string): string => {
  const file = join(dir, 'cpuinfo');
  writeFileSync(
    file,
    `processor\t: 0\nmodel name\t: A processor with avx512_bf16 in its name\n${line}\n\nprocessor\t: 1\n`,
  );
  return file;
};

test.each([
  ['flags\t\t: fpu avx2 avx512f avx512_bf16 avx512_vnni', 'avx512_bf16'],
  ['flags\t\t: avx512_bf16 amx_bf16 amx_tile', 'amx_bf16'],
  ['flags\t\t: fpu avx2 avx512f', null],
  ['Features\t: fp asimd i8mm bf16 dgh', 'bf16'],
  ['Features\t: fp asimd', null],
  ['bugs\t\t: spectre_v1', null],
])('of a processor with %j the instructions for bfloat16 are %s', (line, found) => {
  expect(bfloat16Instructions(cpuinfo(line))).toBe(found);
});

test('nothing is claimed of a system that does not say', () => {
  expect(bfloat16Instructions(join(dir, 'nothing'))).toBeNull();
});
