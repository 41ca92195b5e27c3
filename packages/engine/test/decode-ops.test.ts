import { describe, expect, test } from 'vitest';
import { loadTf } from '../src/load.js';
import { matMul2d, smallMatMul, type Tensor } from '../src/raw-ops.js';
import { compile } from '../src/session/compile.js';
import type { NumericMode, Scope, Signature } from '../src/session/types.js';
import { farthest, waves } from './helpers.js';

const tf = loadTf();
const modes: NumericMode[] = ['eager', 'plain', 'xla', 'bf16'];
const names = ['a', 'b', 'c'];

/** Writes two rows of each variable; `build` says what else the call does with them. */
const scattering = (build: (scope: Scope, at: Tensor, rows: Tensor) => Record<string, Tensor>): Signature => ({
  feeds: { at: { shape: [2], dtype: 'int32' }, rows: { shape: [2, 3], dtype: 'float32' } },
  build: ({ at, rows }, scope) => build(scope, at as Tensor, rows as Tensor),
});

describe.each(modes)('in mode %s', (mode) => {
  test('rows stay where they were written, call after call, with the old value read beside them or not', async () => {
    const session = await compile(
      {
        variables: new Map(names.map((name) => [name, { shape: [5, 3] }])),
        signatures: {
          only: scattering((scope, at, rows) => {
            for (const [i, name] of names.entries()) scope.scatterRows(name, at, tf.mul(rows, i + 1));
            return {};
          }),
          both: scattering((scope, at, rows) => {
            const before = scope.read('a');
            return { before: tf.mul(before, 1), sum: tf.sum(scope.scatterRows('a', at, rows)) };
          }),
        },
      },
      { mode },
    );
    const expected = new Float32Array(15);
    const write = (at: number[], rows: Float32Array): void => {
      for (const [i, row] of at.entries()) expected.set(rows.subarray(3 * i, 3 * i + 3), 3 * row);
    };
    const sum = (values: Float32Array) => values.reduce((a, b) => a + b, 0);
    for (let call = 0; call < 6; call++) {
      const at = [call % 5, (call + 2) % 5];
      const rows = waves(6, call + 1);
      const feeds = { at: Int32Array.from(at), rows };
      if (call % 2 === 0) {
        session.run('only', feeds);
        write(at, rows);
        for (const [name, { data }] of session.read(names)) if (name === 'a') expect(data).toEqual(expected);
      } else {
        const got = session.run('both', feeds);
        expect(got.before).toEqual(expected);
        write(at, rows);
        expect(got.sum?.[0]).toBeCloseTo(sum(expected), 5);
      }
    }
    // The others got their own rows in the calls without a read.
    const others = session.read(['b', 'c']);
    const ratio = others.get('c')?.data.map((value, i) => value / (others.get('b')?.data[i] ?? 0));
    const wanted = others.get('b')?.data.map((value) => (value === 0 ? Number.NaN : 1.5));
    expect(farthest(ratio?.filter(Number.isFinite), wanted?.filter(Number.isFinite))).toBeLessThan(1e-6);
    expect(wanted?.filter(Number.isFinite).length).toBeGreaterThan(8);
    session.dispose();
  });

  test('rows are copied over others of the same variable, and nothing else changes', async () => {
    const session = await compile(
      {
        variables: new Map([['a', { shape: [5, 3] }]]),
        signatures: {
          copy: {
            feeds: { from: { shape: [2], dtype: 'int32' }, to: { shape: [2], dtype: 'int32' } },
            build: ({ from, to }, scope) => {
              scope.copyRows('a', from as Tensor, to as Tensor);
              return {};
            },
          },
        },
      },
      { mode },
    );
    const data = waves(15);
    session.write(new Map([['a', { shape: [5, 3], data }]]));
    const expected = data.slice();
    for (const [from, to] of [
      [
        [0, 3],
        [4, 1],
      ],
      [
        [4, 2],
        [0, 3],
      ],
    ] as const) {
      session.run('copy', { from: Int32Array.from(from), to: Int32Array.from(to) });
      for (const [i, row] of to.entries()) expected.copyWithin(3 * row, 3 * (from[i] ?? 0), 3 * (from[i] ?? 0) + 3);
      expect(session.read(['a']).get('a')?.data).toEqual(expected);
    }
    session.dispose();
  });

  // 2^18 and 2^23 numbers are where the product is computed another way.
  const large: [number, number][] = mode === 'plain' ? [[16_385, 520]] : [];
  test.each([[1000, 200], [1001, 264], [1024, 512], ...large] as const)(
    'one row times a frozen matrix of %i x %i is what two rows give',
    async (rows, columns) => {
      const weight = { shape: [rows, columns], isFrozen: true };
      const signature: Signature = {
        feeds: { x: { shape: [1, columns], dtype: 'float32' } },
        build: ({ x }, scope) => {
          const w = scope.read('w');
          return {
            one: matMul2d(x as Tensor, w, false, true),
            two: matMul2d(tf.concat([x as Tensor, x as Tensor], 0), w, false, true),
          };
        },
      };
      const session = await compile({ variables: new Map([['w', weight]]), signatures: { signature } }, { mode });
      session.write(new Map([['w', { shape: [rows, columns], data: waves(rows * columns) }]]));
      const { one, two } = session.run('signature', { x: waves(columns, 3) });
      expect(one?.length).toBe(rows);
      expect(farthest(one, two?.slice(0, rows))).toBeLessThan(mode === 'bf16' ? 1e-2 : 1e-5);
      session.dispose();
    },
  );

  const heads: [number, number, number][] = mode === 'plain' ? [[4, 16_385, 520]] : [];
  test.each([[15, 1024, 512], [16, 1024, 512], [64, 1001, 531], [65, 1024, 512], ...heads] as const)(
    '%i rows times a frozen matrix of %i x %i are what each of them gives',
    async (count, rows, columns) => {
      const weight = { shape: [rows, columns], isFrozen: true };
      const signature: Signature = {
        feeds: { x: { shape: [count, columns], dtype: 'float32' } },
        build: ({ x }, scope) => {
          const w = scope.read('w');
          const last = tf.slice(x as Tensor, [count - 1, 0], [1, columns]) as Tensor;
          return { all: matMul2d(x as Tensor, w, false, true), last: matMul2d(last, w, false, true) };
        },
      };
      const session = await compile({ variables: new Map([['w', weight]]), signatures: { signature } }, { mode });
      session.write(new Map([['w', { shape: [rows, columns], data: waves(rows * columns) }]]));
      const { all, last } = session.run('signature', { x: waves(count * columns, 3) });
      expect(all?.length).toBe(count * rows);
      expect(farthest(all?.slice(-rows), last)).toBeLessThan(mode === 'bf16' ? 1e-2 : 1e-5);
      session.dispose();
    },
  );

  test('small matrices are multiplied as large ones are', async () => {
    const product = (transposeB: boolean): Signature => ({
      feeds: {},
      build: (_, scope) => {
        const [a, b] = [scope.read('left'), scope.read(transposeB ? 'tall' : 'wide')];
        return { small: smallMatMul(a, b, transposeB), large: tf.matMul(a, b, false, transposeB) };
      },
    });
    const variables = new Map([
      ['left', { shape: [2, 3, 1, 8] }],
      ['tall', { shape: [2, 3, 5, 8] }],
      ['wide', { shape: [2, 3, 8, 5] }],
    ]);
    const session = await compile({ variables, signatures: { tall: product(true), wide: product(false) } }, { mode });
    session.write(
      new Map([...variables].map(([name, { shape }]) => [name, { shape, data: waves(shape.reduce((a, b) => a * b)) }])),
    );
    for (const name of ['tall', 'wide']) {
      const { small, large } = session.run(name, {});
      expect(small?.length).toBe(30);
      expect(farthest(small, large)).toBeLessThan(1e-6);
    }
    session.dispose();
  });
});
