import { describe, expect, test } from 'vitest';
import { type Entry, Graph } from '../src/graph/graph.js';
import { loadTf } from '../src/load.js';
import { after, choose, gatherRows, matMul2d, type Tensor } from '../src/raw-ops.js';
import { compile } from '../src/session/compile.js';
import type { NumericMode, Program, Signature } from '../src/session/types.js';
import { farthest, waves } from './helpers.js';

const tf = loadTf();
const modes: NumericMode[] = ['eager', 'plain', 'xla', 'bf16'];
const matrix = { shape: [3, 4], dtype: 'float32' } as const;

/** Runs one signature over x [3, 4] and n (int32 scalar). */
async function run(
  mode: NumericMode,
  build: (x: Tensor, isOn: Tensor, read: (name: string) => Tensor) => Tensor[],
  n: number,
) {
  const signature: Signature = {
    feeds: { x: matrix, n: { shape: [], dtype: 'int32' } },
    build: ({ x, n: count }, scope) => {
      const isOn = tf.greater(count as Tensor, tf.scalar(0, 'int32'));
      return Object.fromEntries(build(x as Tensor, isOn, scope.read).map((tensor, i) => [`${i}`, tensor]));
    },
  };
  const variables: Program['variables'] = new Map([['w', { shape: [5, 4], isFrozen: true }]]);
  const session = await compile({ variables, signatures: { all: signature } }, { mode });
  try {
    session.write(new Map([['w', { shape: [5, 4], data: waves(20) }]]));
    return Object.values(session.run('all', { x: waves(12, 2), n }));
  } finally {
    session.dispose();
  }
}

describe.each(modes)('in mode %s', (mode) => {
  test.each([0, 1])('choose gives the side that the value names (%i)', async (n) => {
    const [doubled, seven] = await run(
      mode,
      (x, isOn) =>
        choose(
          isOn,
          [x],
          (inputs) => [tf.mul(inputs[0] as Tensor, 2), tf.scalar(7)],
          (inputs) => [inputs[0] as Tensor, tf.scalar(3)],
        ),
      n,
    );
    expect(
      farthest(
        doubled,
        waves(12, 2).map((v) => (n === 1 ? 2 * v : v)),
      ),
    ).toBe(0);
    expect(seven?.[0]).toBe(n === 1 ? 7 : 3);
  });

  test.each([0, 1])('it works on weights, in itself, and inside a gradient written by hand (%i)', async (n) => {
    const [product, slope] = await run(
      mode,
      (x, isOn, read) => {
        const f = tf.customGrad((v: unknown) => {
          const w = read('w');
          const both = choose(
            isOn,
            [v as Tensor, w],
            (inputs) => {
              const [left, right] = inputs as [Tensor, Tensor];
              const y = matMul2d(left, right, false, true);
              return choose(
                tf.greater(tf.sum(left), 1e6),
                [y],
                ([z]) => [tf.neg(z as Tensor)],
                ([z]) => [tf.mul(z as Tensor, tf.scalar(3))],
              );
            },
            () => [tf.zeros([3, 5])],
          );
          return { value: both[0] as Tensor, gradFunc: (dy: Tensor) => matMul2d(dy, w) };
        });
        const { value, grad } = tf.valueAndGrad((v) => tf.sum(f(v as Tensor)))(x);
        return [tf.reshape(value, []), grad];
      },
      n,
    );
    const x = tf.tensor2d(waves(12, 2), [3, 4]);
    const w = tf.tensor2d(waves(20), [5, 4]);
    const expected = n === 1 ? 3 * (tf.sum(tf.matMul(x, w, false, true)).dataSync()[0] ?? 0) : 0;
    const tolerance = mode === 'bf16' ? 0.1 : 1e-5;
    expect(Math.abs((product?.[0] ?? Number.NaN) - expected)).toBeLessThan(tolerance);
    expect(farthest(slope, tf.matMul(tf.ones([3, 5]), w).dataSync())).toBeLessThan(tolerance);
  });

  test('after gives its tensor unchanged', async () => {
    const [same] = await run(mode, (x) => [after(x, tf.sum(x))], 0);
    expect(same).toEqual(waves(12, 2));
  });
});

test('the side that is not taken is not computed', async () => {
  // A row that is not there: what computes it fails.
  const missing = (x: Tensor): Tensor => gatherRows(x, tf.cast(tf.add(tf.sum(tf.square(x)), 1000), 'int32') as Tensor);
  const signature: Signature = {
    feeds: { x: matrix, n: { shape: [], dtype: 'int32' } },
    build: ({ x, n }) => {
      const isOn = tf.greater(n as Tensor, tf.scalar(0, 'int32'));
      const [sum] = choose(
        isOn,
        [x as Tensor],
        ([v]) => [tf.sum(missing(v as Tensor))],
        ([v]) => [tf.sum(v as Tensor)],
      );
      return { sum: sum as Tensor };
    },
  };
  const session = await compile({ variables: new Map(), signatures: { all: signature } }, { mode: 'plain' });
  expect(() => session.run('all', { x: waves(12), n: 1 })).toThrow(/all/);
  const total = waves(12).reduce((a, b) => a + b, 0);
  expect(session.run('all', { x: waves(12), n: 0 }).sum?.[0]).toBeCloseTo(total, 5);
  session.dispose();
});

const refused = async (build: Signature['build']): Promise<string> => {
  const signature = { feeds: { x: matrix }, build };
  const variables: Program['variables'] = new Map([['v', { shape: [3, 4] }]]);
  return compile({ variables, signatures: { all: signature } }, { mode: 'plain' }).then(
    () => 'compiled',
    (error: Error) => error.message,
  );
};

test('what a side made must be returned from it, both sides alike, and nothing is updated there', async () => {
  const isOn = (x: Tensor) => tf.greater(tf.sum(x), 0);
  const leaked = await refused(({ x }) => {
    let inner: Tensor | undefined;
    choose(
      isOn(x as Tensor),
      [x as Tensor],
      ([v]) => {
        inner = tf.keep(tf.neg(v as Tensor));
        return [inner];
      },
      ([v]) => [v as Tensor],
    );
    return { y: tf.exp(inner as Tensor) };
  });
  expect(leaked).toMatch(/'all'.*choose\.test\.ts:\d+.*return it from the branch/);
  const uneven = await refused(({ x }) => {
    const [y] = choose(
      isOn(x as Tensor),
      [x as Tensor],
      ([v]) => [tf.sum(v as Tensor)],
      ([v]) => [v as Tensor],
    );
    return { y: y as Tensor };
  });
  expect(uneven).toMatch(/result 0 is float32 \[\] on one side and float32 \[3, 4\] on the other/);
  const updated = await refused(({ x }, scope) => {
    const sides = (v: Tensor[]) => {
      scope.assign('v', v[0] as Tensor);
      return v;
    };
    const [y] = choose(isOn(x as Tensor), [x as Tensor], sides, (v) => v);
    return { y: y as Tensor };
  });
  expect(updated).toMatch(/variable v cannot be updated inside choose/);
});

test('what follows from constants and is small belongs to no branch, and all branches share it', () => {
  const graph = new Graph();
  const cosine = (x: Entry): Entry => graph.one('Cos', [x], { T: { type: 'float32' } }, x.shape, 'float32');
  const inBranch = <T>(build: () => T): T => {
    const pivot = graph.one('Placeholder', [], { dtype: { type: 'bool' } }, [], 'bool', { isUnique: true });
    return graph.within({ pivot, parent: undefined }, build);
  };
  const table = (): Entry => cosine(graph.constant([1, 2], [2], 'float32'));
  const [first, second] = [inBranch(table), inBranch(table)];
  expect(second.ref).toBe(first.ref);
  expect(first.branch).toBeUndefined();
  const large = inBranch(() => {
    const zeros = graph.fill([2 ** 20], 0, 'float32');
    return [zeros, graph.one('Sum', [cosine(zeros)], { T: { type: 'float32' } }, [], 'float32')] as const;
  });
  for (const { branch } of large) expect(branch).toBeDefined();
  const [seven, zero] = [7, 0].map((value) => graph.constant([value], [1], 'int32')) as [Entry, Entry];
  const failing = inBranch(() => graph.one('FloorDiv', [seven, zero], { T: { type: 'int32' } }, [1], 'int32'));
  expect(failing.branch).toBeDefined();
  const fed = graph.one('Placeholder', [], { dtype: { type: 'float32' } }, [2], 'float32', { isUnique: true });
  expect(inBranch(() => cosine(fed)).branch).toBeDefined();
});
