/**
 * Every kernel that can be traced, against tfjs's own native backend: the same code runs eagerly (the oracle) and as a graph. A row that
 * names gradients also covers what tfjs-core's autodiff calls.
 */
import { expect, test, vi } from 'vitest';
import type { Kernel } from '../src/graph/kernel.js';
import { allKernels } from '../src/graph/kernels/all.js';
import { compile } from '../src/session/compile.js';
import type { FetchedValue, NumericMode, Program } from '../src/session/types.js';
import { farthest, waves } from './helpers.js';
import { type KernelInputs, kernelRows } from './kernel-rows.js';

const program: Program = {
  variables: new Map(),
  signatures: {
    all: {
      feeds: {
        x: { shape: [2, 3, 4], dtype: 'float32' },
        y: { shape: [2, 3, 4], dtype: 'float32' },
        row: { shape: [4], dtype: 'float32' },
        m: { shape: [3, 4], dtype: 'float32' },
        ids: { shape: [5], dtype: 'int32' },
      },
      build: (feeds) =>
        Object.fromEntries(
          kernelRows.flatMap(([name, make]) =>
            [make(feeds as unknown as KernelInputs)].flat().map((tensor, i) => [`${name} #${i}`, tensor]),
          ),
        ),
    },
  },
};

const feeds = {
  x: waves(24),
  y: waves(24, 0.2).map((v) => Math.abs(v) + 0.1),
  row: waves(4, 1.1),
  m: waves(12, 0.7),
  ids: Int32Array.from([2, 0, 1, 2, 2]),
};

async function runAll(mode: NumericMode): Promise<Record<string, FetchedValue>> {
  const session = await compile(program, { mode });
  try {
    return session.run('all', feeds);
  } finally {
    session.dispose();
  }
}

test('every kernel that can be traced is reached by a row', async () => {
  const spies = Object.keys(allKernels).map(
    (name) => [name, vi.spyOn(allKernels as Record<string, Kernel>, name)] as const,
  );
  const session = await compile(program, { mode: 'plain' });
  session.dispose();
  expect(spies.filter(([, spy]) => spy.mock.calls.length === 0).map(([name]) => name)).toEqual([]);
  vi.restoreAllMocks();
});

test('each traced kernel gives what the native backend gives, and so do its gradients', async () => {
  const eager = await runAll('eager');
  const traced = await runAll('plain');
  expect(Object.keys(traced)).toEqual(Object.keys(eager));
  const apart = Object.keys(eager).filter((name) => !(farthest(traced[name], eager[name]) <= 1e-5));
  expect(apart).toEqual([]);
});
