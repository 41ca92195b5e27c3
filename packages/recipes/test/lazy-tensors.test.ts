import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readSafetensors, writeSafetensors } from '@moraine/engine';
import { expect, it } from 'vitest';
import { lazyTensors } from '../src/lazy-tensors.js';

it('tensors are read in turns of at most 64 MB, each once, and a file holds what was read', () => {
  const side = 3000; // 36 MB
  const shapes = new Map([
    ['b', [side, side]],
    ['a', [2]],
    ['d', [3]],
    ['c', [side, side]],
  ]);
  const reads: string[][] = [];
  const value = (name: string): Float32Array =>
    new Float32Array((shapes.get(name) ?? []).reduce((x, y) => x * y, 1)).fill(name.charCodeAt(0));
  const lazy = lazyTensors(shapes, (names) => {
    reads.push([...names]);
    return new Map(names.map((name) => [name, { shape: shapes.get(name) ?? [], data: value(name) }]));
  });
  const file = join(mkdtempSync(join(tmpdir(), 'moraine-lazy-')), 'all.safetensors');
  writeSafetensors(file, lazy);
  expect(reads).toEqual([
    ['a', 'b'],
    ['c', 'd'],
  ]);
  const { tensors } = readSafetensors(file);
  for (const [name, shape] of shapes) {
    expect(tensors.get(name)?.shape).toEqual(shape);
    expect(tensors.get(name)?.data[0]).toBe(name.charCodeAt(0));
  }
});
