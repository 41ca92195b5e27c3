import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { describe, expect, test } from 'vitest';
import { loadTf } from '../src/load.js';
import { matMul2d, statelessRandomUniform, type Tensor } from '../src/raw-ops.js';
import { compile } from '../src/session/compile.js';
import {
  type NumericMode,
  type Program,
  type Scope,
  type Session,
  type Signature,
  signature,
} from '../src/session/types.js';
import { farthest, waves } from './helpers.js';

const tf = loadTf();
const modes: NumericMode[] = ['eager', 'plain', 'xla', 'bf16'];
const scalar = { shape: [], dtype: 'float32' } as const;

const host = (shape: number[], data: Float32Array) => ({ shape, data });
/** Operations that hand on the memory they are given when there is nothing to do. */
const moves: Record<string, (x: Tensor) => Tensor> = {
  set: (x) => tf.reshape(x, [256, 1024]),
  transposed: (x) => tf.reshape(tf.transpose(x, [0, 1]), [256, 1024]),
  tiled: (x) => tf.reshape(tf.tile(x, [1, 1]), [256, 1024]),
  reversed: (x) => tf.reshape(tf.reverse(x, []), [256, 1024]),
};
const one = (name: string, shape: number[], data: Float32Array) => new Map([[name, host(shape, data)]]);

async function using<T>(program: Program, mode: NumericMode, use: (session: Session) => T): Promise<T> {
  const session = await compile(program, { mode });
  try {
    return use(session);
  } finally {
    session.dispose();
  }
}

/** A signature without feeds. */
const plain = (build: (scope: Scope) => Record<string, Tensor>): Signature => ({
  feeds: {},
  build: (_, scope) => build(scope),
});

describe.each(modes)('in mode %s', (mode) => {
  const program: Program = {
    variables: new Map([
      ['a', { shape: [2, 3] }],
      ['b', { shape: [2, 3] }],
      ['rows', { shape: [4, 2] }],
      ['kept', { shape: [4, 2] }],
      ['large', { shape: [256, 1024] }],
    ]),
    signatures: {
      ...Object.fromEntries(
        Object.entries(moves).map(([name, move]): [string, Signature] => [
          name,
          {
            feeds: { x: { shape: [1024, 256], dtype: 'float32' } },
            build: ({ x }, scope) => {
              scope.assign('large', move(x as Tensor));
              return {};
            },
          },
        ]),
      ),
      // Updates are written before and after the reads; all reads must see the old values.
      mix: plain((scope) => {
        scope.assign('a', tf.mul(scope.read('b'), 2));
        const sum = tf.add(scope.read('a'), scope.read('b'));
        scope.assignAdd('b', scope.read('a'));
        return { a: scope.read('a'), b: scope.read('b'), sum };
      }),
      swap: plain((scope) => {
        scope.assign('a', scope.read('b'));
        scope.assign('b', scope.read('a'));
        return {};
      }),
      copy: plain((scope) => {
        scope.assign('b', scope.read('a'));
        return {};
      }),
      grow: plain((scope) => {
        scope.assignAdd('b', tf.ones([2, 3]));
        return {};
      }),
      keep: plain((scope) => {
        scope.assign('kept', scope.read('rows'));
        return {};
      }),
      overlay: {
        feeds: { at: { shape: [1], dtype: 'int32' }, rows: { shape: [1, 2], dtype: 'float32' } },
        build: ({ at, rows }, scope) => {
          scope.scatterRows('rows', at as Tensor, rows as Tensor);
          return {};
        },
      },
      scatter: {
        feeds: { at: { shape: [2], dtype: 'int32' }, rows: { shape: [2, 2], dtype: 'float32' } },
        build: ({ at, rows }, scope) => ({
          before: scope.read('rows'),
          after: tf.mul(scope.scatterRows('rows', at as Tensor, rows as Tensor), 10),
        }),
      },
    },
  };

  test('reads see the values from before the call, whatever the order of updates', () =>
    using(program, mode, (session) => {
      const [a, b] = [waves(6), waves(6, 2)];
      session.write(new Map([...one('a', [2, 3], a), ...one('b', [2, 3], b)]));
      const got = session.run('mix', {});
      expect([got.a, got.b]).toEqual([a, b]);
      expect(
        farthest(
          got.sum,
          a.map((v, i) => v + (b[i] ?? 0)),
        ),
      ).toBeLessThan(1e-6);
      const after = session.read(['b', 'a']);
      expect([...after.keys()]).toEqual(['b', 'a']);
      expect(
        farthest(
          after.get('a')?.data,
          b.map((v) => 2 * v),
        ),
      ).toBeLessThan(1e-6);
      expect(
        farthest(
          after.get('b')?.data,
          b.map((v, i) => v + (a[i] ?? 0)),
        ),
      ).toBeLessThan(1e-6);
    }));

  test('two variables exchange their values, and stay two', () =>
    using(program, mode, (session) => {
      const [a, b] = [waves(6), waves(6, 2)];
      session.write(new Map([...one('a', [2, 3], a), ...one('b', [2, 3], b)]));
      session.run('swap', {});
      expect([session.read(['a']).get('a')?.data, session.read(['b']).get('b')?.data]).toEqual([b, a]);
      session.run('copy', {});
      session.run('grow', {});
      expect(session.read(['a']).get('a')?.data).toEqual(b);
      expect(session.read(['b']).get('b')?.data).toEqual(b.map((v) => v + 1));
    }));

  test('a variable that takes a feed keeps it after the caller’s array has changed', () =>
    using(program, mode, (session) => {
      for (const [i, move] of Object.keys(moves).entries()) {
        const x = waves(256 * 1024, i); // large enough to be taken where it lies
        session.run(move, { x });
        const kept = x.slice();
        x.fill(0);
        expect(farthest(session.read(['large']).get('large')?.data, kept)).toBe(0);
      }
    }));

  test('a variable that takes another’s value keeps it when rows of the other are written', () =>
    using(program, mode, (session) => {
      session.run('overlay', { at: Int32Array.of(1), rows: Float32Array.of(5, 6) });
      session.run('keep', {});
      session.run('overlay', { at: Int32Array.of(1), rows: Float32Array.of(7, 8) });
      const both = session.read(['rows', 'kept']);
      expect([...(both.get('rows')?.data ?? [])]).toEqual([0, 0, 7, 8, 0, 0, 0, 0]);
      expect([...(both.get('kept')?.data ?? [])]).toEqual([0, 0, 5, 6, 0, 0, 0, 0]);
    }));

  test('variables begin at zero and a part of them can be written', () =>
    using(program, mode, (session) => {
      session.write(one('b', [2, 3], waves(6)));
      const all = session.read(['a', 'b', 'rows']);
      expect(all.get('a')).toEqual(host([2, 3], new Float32Array(6)));
      expect(all.get('b')).toEqual(host([2, 3], waves(6)));
      expect(all.get('rows')).toEqual(host([4, 2], new Float32Array(8)));
    }));

  test('scattered rows are in what the call gives and in the next call', () =>
    using(program, mode, (session) => {
      const feeds = { at: Int32Array.from([2, 0]), rows: Float32Array.from([1, 2, 3, 4]) };
      const first = session.run('scatter', feeds);
      expect([...(first.before ?? [])]).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
      expect([...(first.after ?? [])]).toEqual([30, 40, 0, 0, 10, 20, 0, 0]);
      const second = session.run('scatter', { ...feeds, at: Int32Array.from([1, 3]) });
      expect([...(second.before ?? [])]).toEqual([3, 4, 0, 0, 1, 2, 0, 0]);
      expect([...(second.after ?? [])]).toEqual([30, 40, 10, 20, 10, 20, 30, 40]);
    }));
});

/** A heavy ball: accumulated = momentum · accumulated + grad, value -= rate · accumulated; the value is halved before. */
const fusedStep = signature({
  feeds: { rate: scalar, momentum: scalar },
  build: ({ rate, momentum }, scope) => {
    const [before, grad] = [scope.read('a'), tf.mul(scope.read('b'), 1)];
    const flags = { use_locking: false, use_nesterov: false };
    const start = tf.mul(before, 0.5);
    scope.fused?.({
      op: 'ResourceApplyMomentum',
      variables: ['a', 'sum'],
      start,
      inputs: [rate, grad, momentum],
      flags,
    });
    return { before };
  },
});
const fusedProgram: Program = {
  variables: new Map(['a', 'b', 'sum'].map((name) => [name, { shape: [2, 3] }])),
  signatures: { step: fusedStep },
};

test.each(['plain', 'xla'] as const)('a fused update does what its operation says, after its start (%s)', (mode) =>
  using(fusedProgram, mode, (session) => {
    const [a, grad] = [waves(6), waves(6, 2)];
    session.write(new Map([...one('a', [2, 3], a), ...one('b', [2, 3], grad)]));
    const feeds = { rate: 0.5, momentum: 0.25 };
    expect(session.run('step', feeds).before).toEqual(a);
    session.run('step', feeds);
    const got = session.read(['a', 'sum']);
    const sum = grad.map((g) => g + 0.25 * g);
    expect(farthest(got.get('sum')?.data, sum)).toBeLessThan(1e-6);
    const second = a.map((x, i) => 0.5 * (0.5 * x - 0.5 * (grad[i] ?? 0)) - 0.5 * (sum[i] ?? 0));
    expect(farthest(got.get('a')?.data, second)).toBeLessThan(1e-6);
  }),
);

test('eager mode has no fused updates', () =>
  using(fusedProgram, 'eager', (session) => {
    session.write(one('a', [2, 3], waves(6)));
    session.run('step', { rate: 0.5, momentum: 0.25 });
    expect(session.read(['a']).get('a')?.data).toEqual(waves(6));
  }));

test('bf16 keeps frozen matrices in half the bytes, multiplies with them and looks rows up, and nothing else', async () => {
  const use = (build: Signature['build']): Program => ({
    variables: new Map([
      ['frozen', { shape: [4, 8], isFrozen: true }],
      ['free', { shape: [4, 8] }],
    ]),
    signatures: { use: { feeds: { x: { shape: [2, 8], dtype: 'float32' } }, build } },
  });
  const multiply: Signature['build'] = ({ x }, scope) => ({
    frozen: matMul2d(x as Tensor, scope.read('frozen'), false, true),
    free: matMul2d(x as Tensor, scope.read('free'), false, true),
  });
  const w = waves(32);
  const run = (mode: NumericMode) =>
    using(use(multiply), mode, (session) => {
      session.write(new Map([...one('frozen', [4, 8], w), ...one('free', [4, 8], w)]));
      const { frozen, free } = session.run('use', { x: waves(16, 2) });
      return { frozen, free, kept: session.read(['frozen']).get('frozen')?.data };
    });
  const [full, low] = [await run('plain'), await run('bf16')];
  expect(low.free).toEqual(full.free);
  expect(farthest(low.frozen, full.frozen)).toBeGreaterThan(1e-5);
  expect(farthest(low.frozen, full.frozen)).toBeLessThan(0.03);
  expect(full.kept).toEqual(w);
  expect(farthest(low.kept, w)).toBeLessThan(2 ** -8);
  const other = use((_, scope) => ({ sum: tf.sum(scope.read('frozen')) }));
  await expect(compile(other, { mode: 'bf16' })).rejects.toMatchObject({ code: 'unsupported_in_mode' });
  await using(other, 'plain', (session) => expect(session.run('use', { x: waves(16) }).sum).toHaveLength(1));
});

const noise: Program = {
  variables: new Map([['w', { shape: [64, 64] }]]),
  signatures: {
    step: {
      feeds: { seed: { shape: [2], dtype: 'int32' } },
      build: ({ seed }, scope) => {
        const x = statelessRandomUniform([64, 64], seed as Tensor);
        scope.assignAdd('w', tf.matMul(tf.tanh(tf.matMul(x, scope.read('w'))), x));
        return { mean: tf.mean(x) };
      },
    },
  },
};

test('two sessions that do the same have the same bits', async () => {
  const run = () =>
    using(noise, 'plain', (session) => {
      session.write(one('w', [64, 64], waves(4096)));
      for (let i = 0; i < 5; i++) session.run('step', { seed: Int32Array.from([3, i]) });
      return session.read(['w']).get('w')?.data;
    });
  expect(await run()).toEqual(await run());
});

test('calls leave no tensors behind, and memory stays level', () =>
  using(noise, 'plain', (session) => {
    const call = () => session.run('step', { seed: Int32Array.from([1, 2]) });
    for (let i = 0; i < 500; i++) call();
    const [tensors, before] = [tf.memory().numTensors, process.memoryUsage().rss];
    for (let i = 0; i < 2000; i++) call();
    expect(tf.memory().numTensors).toBe(tensors);
    expect((process.memoryUsage().rss - before) / 2 ** 20).toBeLessThan(20);
  }));

test('a session’s memory is free after dispose, its folder at once', async () => {
  const large: Program = {
    variables: new Map([['w', { shape: [64, 2 ** 18] }]]), // 64 MiB
    signatures: { sum: plain((scope) => ({ sum: tf.sum(scope.read('w')) })) },
  };
  const folders = () => readdirSync(tmpdir()).filter((name) => name.startsWith(`moraine-graph-${process.pid}-`));
  const once = () =>
    using(large, 'plain', (session) => {
      expect(folders()).toEqual([]);
      session.run('sum', {});
      return process.memoryUsage().rss;
    });
  const first = await once();
  for (let i = 0; i < 4; i++) await once();
  expect(((await once()) - first) / 2 ** 20).toBeLessThan(64);
});

test('while a program is traced others get their turn between two signatures', async () => {
  let turns = 0;
  const turn = (): void => {
    turns += 1;
    next = setImmediate(turn);
  };
  let next = setImmediate(turn);
  const built: number[] = [];
  const add = (by: number): Signature =>
    signature({
      feeds: { x: scalar },
      build: ({ x }) => {
        built.push(turns);
        return { y: tf.add(x, by) };
      },
    });
  const signatures = Object.fromEntries([1, 2, 3].map((by) => [`add${by}`, add(by)]));
  const session = await compile({ variables: new Map(), signatures }, { mode: 'plain' });
  clearImmediate(next);
  expect(new Set(built).size).toBe(3);
  expect(session.run('add3', { x: 4 }).y?.[0]).toBe(7);
  session.dispose();
});

test.each(['eager', 'plain'] as const)(
  'outputs that are not wanted are not brought, and updates are done all the same: %s',
  async (mode) => {
    const program: Program = {
      variables: new Map([['count', { shape: [1] }]]),
      signatures: {
        step: signature({
          feeds: { x: scalar },
          build: ({ x }, scope) => {
            scope.assignAdd('count', loadTf().onesLike(scope.read('count')));
            return { once: tf.mul(x, 1), twice: tf.mul(x, 2) };
          },
        }),
      },
    };
    await using(program, mode, (session) => {
      expect(session.run('step', { x: 3 }, ['twice'])).toEqual({ twice: Float32Array.of(6) });
      expect(session.run('step', { x: 3 }, [])).toEqual({});
      expect(Object.keys(session.run('step', { x: 3 }))).toEqual(['once', 'twice']);
      expect(session.read(['count']).get('count')?.data).toEqual(Float32Array.of(3));
    });
  },
);

test('others go on while TensorFlow loads a graph and sets its first values', async () => {
  let turns = 0;
  let next: NodeJS.Immediate;
  const count = () => {
    turns++;
    next = setImmediate(count);
  };
  const long = signature({
    feeds: { x: scalar },
    build: ({ x }) => ({
      y: Array.from({ length: 3_000 }, (_, i) => i).reduce((sum, i) => tf.add(sum, i) as Tensor, x),
    }),
  });
  next = setImmediate(count);
  const session = await compile({ variables: new Map(), signatures: { long } }, { mode: 'plain' });
  clearImmediate(next);
  // A load on this thread would leave two.
  expect(turns).toBeGreaterThan(20);
  expect(session.run('long', { x: 1 }).y?.[0]).toBe(1 + (2_999 * 3_000) / 2);
  session.dispose();
});
