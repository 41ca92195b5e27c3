import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import type { EngineError } from '../src/error.js';
import { Graph } from '../src/graph/graph.js';
import { typed } from '../src/graph/kernel.js';
import { loadTf } from '../src/load.js';
import { gatherRows, type Tensor } from '../src/raw-ops.js';
import { compile } from '../src/session/compile.js';
import type { NumericMode, Signature } from '../src/session/types.js';
import { temporaryFolder, waves } from './helpers.js';

const tf = loadTf();

const compiled = (build: Signature['build'], mode: NumericMode = 'plain') => {
  const feeds = { x: { shape: [2, 3], dtype: 'float32' }, ids: { shape: [2], dtype: 'int32' } } as const;
  return compile({ variables: new Map([['w', { shape: [4, 3] }]]), signatures: { step: { feeds, build } } }, { mode });
};
const feeds = { x: waves(6), ids: Int32Array.from([0, 1]) };

const fault = async (promise: Promise<unknown>): Promise<EngineError> => {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(Error);
  expect(tf.getBackend()).toBe('tensorflow');
  return error as EngineError;
};

describe('a signature that cannot be traced', () => {
  test('names the kernel that is missing, the signature and the place', async () => {
    const error = await fault(
      compiled(({ x }) => ({ y: tf.matMul(tf.erf(x as Tensor), tf.einsum('ij->ji', x as Tensor)) })),
    );
    expect(error.code).toBe('kernel_unregistered');
    expect(error.message).toMatch(
      /^Signature 'step', .*errors\.test\.ts:\d+: tfjs’s kernel Einsum cannot be traced yet/,
    );
    expect(error.hint).toContain('docs/engine.md');
  });

  test('names the operation that took a tensor from outside, which survives', async () => {
    const outside = tf.tensor2d(waves(6), [2, 3]);
    const error = await fault(compiled(({ x }) => ({ y: tf.add(tf.neg(x as Tensor), outside) })));
    expect(error.code).toBe('eager_tensor_captured');
    expect(error.message).toMatch(
      /^Signature 'step', .*errors\.test\.ts:\d+: Add was given a tensor that was made outside/,
    );
    expect(outside.dataSync()).toEqual(waves(6));
    const raw = await fault(compiled(({ ids }) => ({ y: gatherRows(outside, ids as Tensor) })));
    expect(raw.message).toContain('GatherV2 was given a tensor');
  });

  test('is refused when it returns a tensor from outside or reads a value', async () => {
    const outside = tf.scalar(1);
    expect((await fault(compiled(() => ({ y: outside })))).code).toBe('eager_tensor_captured');
    const error = await fault(compiled(({ x }) => ({ y: tf.scalar((x as Tensor).dataSync()[0] ?? 0) })));
    expect(error.code).toBe('value_read_in_trace');
    expect(error.message).toMatch(/^Signature 'step', .*errors\.test\.ts:\d+: The value of a tensor was read/);
  });

  test('is refused with the reason when it updates a variable twice, a frozen one or one that is not there', async () => {
    const twice = compiled(({ x }, scope) => {
      scope.assign('w', tf.concat([x as Tensor, x as Tensor]));
      scope.assignAdd('w', tf.concat([x as Tensor, x as Tensor]));
      return {};
    });
    expect((await fault(twice)).message).toContain('variable w is updated twice');
    const misfit = compiled(({ x }, scope) => {
      scope.assign('w', x as Tensor);
      return {};
    });
    expect((await fault(misfit)).message).toContain('variable w cannot take [2, 3]');
    expect((await fault(compiled((_, scope) => ({ v: scope.read('v') })))).message).toContain("no variable 'v'");
  });
});

describe.each(['eager', 'plain'] as const)('a call in mode %s', (mode) => {
  test('that TensorFlow refuses says so in TensorFlow’s words, and the next one works', async () => {
    const session = await compiled(({ ids }, scope) => ({ rows: gatherRows(scope.read('w'), ids as Tensor) }), mode);
    const bad = { ...feeds, ids: Int32Array.from([0, 4]) };
    expect(() => session.run('step', bad)).toThrow(
      expect.objectContaining({
        code: 'run_failed',
        message: expect.stringMatching(/^Signature 'step' failed: .*\b4\b.*$/),
      }),
    );
    expect(session.run('step', feeds).rows).toHaveLength(6);
    session.dispose();
  });

  test('with wrong feeds or an unknown name is refused before it runs', async () => {
    const session = await compiled(({ x }) => ({ x: tf.neg(x as Tensor) }), mode);
    const code = (call: () => unknown) => {
      try {
        call();
        return 'ran';
      } catch (error) {
        return (error as EngineError).code;
      }
    };
    expect(code(() => session.run('stop', feeds))).toBe('unknown_signature');
    expect(code(() => session.run('step', { x: waves(6) }))).toBe('bad_feed');
    expect(code(() => session.run('step', { ...feeds, y: 1 }))).toBe('bad_feed');
    expect(code(() => session.run('step', { ...feeds, x: waves(5) }))).toBe('bad_feed');
    expect(code(() => session.run('step', { ...feeds, ids: waves(2) }))).toBe('bad_feed');
    expect(code(() => session.run('step', feeds, ['x', 'z']))).toBe('unknown_output');
    expect(code(() => session.read(['v']))).toBe('bad_feed');
    expect(code(() => session.write(new Map([['w', { shape: [3, 4], data: waves(12) }]])))).toBe('bad_feed');
    session.dispose();
  });
});

test.each(['eager', 'plain'] as const)(
  'a session that was disposed of refuses every call, in mode %s',
  async (mode) => {
    const session = await compiled((_, scope) => ({ sum: tf.sum(scope.read('w')) }), mode);
    session.dispose();
    session.dispose();
    const refused = expect.objectContaining({ code: 'session_disposed' });
    expect(() => session.run('step', feeds)).toThrow(refused);
    expect(() => session.read(['w'])).toThrow(refused);
    expect(() => session.write(new Map([['w', { shape: [4, 3], data: waves(12) }]]))).toThrow(refused);
  },
);

// TensorFlow tries for ten seconds before it gives up.
test('a call that needs more memory than there is says so, and the next one works', async () => {
  const size = 4_000_000;
  const session = await compiled(({ x }) => {
    const long = tf.tile(tf.reshape(x as Tensor, [6]), [size / 5]);
    return { sum: tf.sum(tf.exp(tf.mul(tf.reshape(long, [-1, 1]), tf.reshape(long, [1, -1])))) };
  });
  expect(() => session.run('step', feeds)).toThrow(
    expect.objectContaining({
      code: 'out_of_memory',
      message: expect.stringContaining("Signature 'step' ran out of memory"),
    }),
  );
  session.dispose();
  const next = await compiled(({ x }) => ({ x: tf.neg(x as Tensor) }));
  expect(next.run('step', feeds).x).toHaveLength(6);
  next.dispose();
});

test('a graph that TensorFlow does not load, or does not run, leaves no session behind', async () => {
  const backend = tf.backend() as unknown as {
    getNumOfSavedModels(): number;
    loadSavedModelMetaGraph(folder: string, tags: string): number;
    deleteSavedModel(session: number): void;
    binding: {
      loadAhead(folder: string, feed: string, fetch: string): Promise<number>;
      takeLoaded(folder: string): void;
    };
  };
  const graph = new Graph();
  const type = typed('int64');
  const zero = graph.one('Placeholder', [], { dtype: type, shape: { shape: [1] } }, [1], 'int64', { name: 'zero' });
  graph.one('Identity', [zero], { T: type }, [1], 'int64', { name: 'same' });
  const folder = temporaryFolder();
  const before = backend.getNumOfSavedModels();
  await expect(backend.binding.loadAhead(folder, 'zero', 'zero')).rejects.toThrow('Failed to load SavedModel');
  writeFileSync(path.join(folder, 'saved_model.pb'), graph.savedModel());
  await expect(backend.binding.loadAhead(folder, 'zero', 'none')).rejects.toThrow('The graph has no node none');
  // TensorFlow refuses to run what is both given and asked for.
  await expect(backend.binding.loadAhead(folder, 'zero', 'zero')).rejects.toThrow('Session fail to run');
  expect(() => backend.binding.takeLoaded(folder)).toThrow('a folder that was loaded ahead');
  expect(await backend.binding.loadAhead(folder, 'zero', 'same')).toBeGreaterThanOrEqual(0);
  expect(backend.getNumOfSavedModels()).toBe(before);
  backend.binding.takeLoaded(folder);
  const session = backend.loadSavedModelMetaGraph(folder, 'serve');
  expect(backend.getNumOfSavedModels()).toBe(before + 1);
  backend.deleteSavedModel(session);
  expect(backend.getNumOfSavedModels()).toBe(before);
});
