import { closeSync, ftruncateSync, openSync, writeFileSync, writeSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadTf } from '../src/load.js';
import { gatherRows } from '../src/raw-ops.js';
import { readSafetensorsHeader, type TensorDtype, writeSafetensors } from '../src/safetensors.js';
import { compile } from '../src/session/compile.js';
import type { NumericMode, Signature, VariableSpec } from '../src/session/types.js';
import { farthest, temporaryFolder, waves } from './helpers.js';

const folder = temporaryFolder();
const modes: NumericMode[] = ['eager', 'plain', 'bf16'];

/** Variables over the tensors of a safetensors file. */
function variablesOf(file: string): Map<string, VariableSpec> {
  const { entries, dataStart } = readSafetensorsHeader(file);
  return new Map(
    entries.map(({ name, shape, dtype, begin, end }) => [
      name,
      {
        shape,
        isFrozen: true,
        from: { path: file, offset: dataStart + begin, bytes: end - begin, dtype: dtype as TensorDtype },
      },
    ]),
  );
}

const tensors = (dtype: TensorDtype) =>
  new Map([
    ['odd', { dtype, shape: [3], data: waves(3) }],
    ['matrix', { dtype, shape: [7, 5], data: waves(35, 1) }],
    ['cube', { dtype, shape: [2, 3, 3], data: waves(18, 2) }],
    ['scalar', { dtype, shape: [], data: waves(1, 3) }],
  ]);

describe.each(modes)('in mode %s', (mode) => {
  test.each(['F32', 'F16', 'BF16'] as const)('weights of type %s enter as they are in the file', async (dtype) => {
    const file = path.join(folder, `${mode} ${dtype}.safetensors`);
    writeSafetensors(file, tensors(dtype), { note: 'x'.repeat(3) });
    const session = await compile({ variables: variablesOf(file), signatures: {} }, { mode });
    const got = session.read(['matrix', 'odd', 'cube', 'scalar']);
    session.dispose();
    const tolerance = { F32: 0, F16: 2 ** -11, BF16: 2 ** -8 }[dtype];
    for (const [name, { shape, data }] of tensors(dtype)) {
      expect(got.get(name)?.shape).toEqual(shape);
      const isCut = mode === 'bf16' && name === 'matrix';
      expect(farthest(got.get(name)?.data, data)).toBeLessThanOrEqual(isCut ? 2 ** -8 : tolerance);
    }
  });

  test('weights of type F64 are rounded', async () => {
    const file = path.join(folder, `${mode}.f64`);
    const values = Float64Array.from(waves(6), (v) => v / 3);
    writeFileSync(file, Buffer.concat([Buffer.alloc(5), Buffer.from(values.buffer)]));
    const from = { path: file, offset: 5, bytes: 48, dtype: 'F64' } as const;
    const session = await compile({ variables: new Map([['v', { shape: [6], from }]]), signatures: {} }, { mode });
    expect(session.read(['v']).get('v')?.data).toEqual(Float32Array.from(values));
    session.dispose();
  });
});

test.each(['plain', 'bf16'] as const)(
  'a large frozen matrix is read as the graph holds it in mode %s, and cannot be written',
  async (mode) => {
    const file = path.join(folder, `large ${mode}.safetensors`);
    const shape = [512, 520];
    const values = waves(512 * 520, 4);
    writeSafetensors(file, new Map([['w', { shape, data: values }]]));
    const from = variablesOf(file).get('w')?.from;
    const variables = new Map<string, VariableSpec>([['w', { shape, from, isFrozen: true }]]);
    const out: Signature = {
      feeds: {},
      build: (_feeds, scope) => ({ w: gatherRows(scope.read('w'), loadTf().range(0, shape[0] ?? 0, 1, 'int32')) }),
    };
    const session = await compile({ variables, signatures: { out } }, { mode });
    const read = session.read(['w']).get('w');
    expect(read?.shape).toEqual(shape);
    expect(farthest(read?.data, Float32Array.from(session.run('out', {}).w ?? []))).toBe(0);
    expect(farthest(read?.data, values)).toBeLessThan(mode === 'bf16' ? 2 ** -8 : 1e-9);
    expect(() => session.write(new Map([['w', { shape, data: values }]]))).toThrow(
      /frozen and has its values from a file/,
    );
    session.dispose();
  },
);

test('a few numbers of a large file cost no copy of it', async () => {
  const file = path.join(folder, 'large.bin');
  const offset = 2_400_000_003;
  const fd = openSync(file, 'w');
  ftruncateSync(fd, 2_500_000_000); // sparse: it takes no room on the disk
  writeSync(fd, new Uint8Array(Float32Array.from([1, 2, 3, 4]).buffer), 0, 16, offset);
  closeSync(fd);
  const from = { path: file, offset, bytes: 16, dtype: 'F32' } as const;
  const before = process.memoryUsage().rss;
  const session = await compile(
    { variables: new Map([['v', { shape: [4], from }]]), signatures: {} },
    { mode: 'plain' },
  );
  expect([...(session.read(['v']).get('v')?.data ?? [])]).toEqual([1, 2, 3, 4]);
  expect((process.memoryUsage().rss - before) / 2 ** 20).toBeLessThan(1000); // TensorFlow itself takes 300
  session.dispose();
});

test('a file that is missing, too short or of integers is refused by name', async () => {
  const file = path.join(folder, 'short.safetensors');
  writeFileSync(file, Buffer.alloc(20));
  const code = (from: VariableSpec['from']) =>
    compile({ variables: new Map([['v', { shape: [4], from }]]), signatures: {} }, { mode: 'plain' }).then(
      () => 'compiled',
      (error: { code: string; message: string }) => `${error.code} ${error.message}`,
    );
  const from = { path: file, offset: 8, bytes: 16, dtype: 'F32' } as const;
  expect(await code(from)).toMatch(/^weights_unreadable .*short\.safetensors: 16 bytes at 8 .* file of 20/);
  expect(await code({ ...from, path: path.join(folder, 'none') })).toMatch(/^weights_unreadable .*none cannot be read/);
  expect(await code({ ...from, offset: 4, dtype: 'I32' })).toMatch(/^weights_unreadable .*holds I32/);
  expect(await code({ ...from, offset: 4 })).toBe('compiled');
});

test('many variables are read and written whole and in part', async () => {
  const shapes: [string, number[]][] = Array.from({ length: 300 }, (_, i) => [
    `v${i}`,
    i % 50 === 0 ? [600, 512] : [i + 1, 3],
  ]);
  const session = await compile(
    { variables: new Map(shapes.map(([name, shape]) => [name, { shape }])), signatures: {} },
    { mode: 'plain' },
  );
  const values = new Map(
    shapes.map(([name, shape], i) => [
      name,
      {
        shape,
        data: waves(
          shape.reduce((a, b) => a * b),
          i,
        ),
      },
    ]),
  );
  session.write(values);
  const all = session.read(shapes.map(([name]) => name));
  expect([...all].filter(([name, { data }]) => farthest(data, values.get(name)?.data) !== 0)).toEqual([]);
  const part = new Map([['v7', { shape: [8, 3], data: waves(24, 9) }]]);
  session.write(part);
  const after = session.read(['v8', 'v7']);
  expect(after.get('v7')?.data).toEqual(waves(24, 9));
  expect(after.get('v8')?.data).toEqual(values.get('v8')?.data);
  session.dispose();
});
