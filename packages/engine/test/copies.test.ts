import { expect, test, vi } from 'vitest';

const scalar = { shape: [], dtype: 'float32' } as const;

test('copies of the module trace beside each other in one process', async () => {
  const first = await import('../src/index.js');
  vi.resetModules();
  const second = await import('../src/index.js');
  expect(second.compile).not.toBe(first.compile);
  expect(second.loadTf()).toBe(first.loadTf());
  for (const { compile, loadTf, signature } of [first, second, first]) {
    const tf = loadTf();
    const next = signature({ feeds: { x: scalar }, build: ({ x }) => ({ y: tf.add(x, tf.scalar(1)) }) });
    const session = await compile({ variables: new Map(), signatures: { next } }, { mode: 'plain' });
    try {
      expect(session.run('next', { x: Float32Array.of(41) }).y).toEqual(Float32Array.of(42));
    } finally {
      session.dispose();
    }
  }
});
