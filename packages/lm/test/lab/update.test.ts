// Expected numbers: merged weights minus the base's, which other tests hold to PyTorch; the fast way against the whole matrix.
import { linearShapes } from '@moraine/contract/plan';
import { loadTf } from '@moraine/engine';
import { expect, test } from 'vitest';
import {
  createLayerLab,
  createMerge,
  createMethod,
  type HostTensor,
  initialAdapter,
  layerUpdate,
  type MethodOptions,
  toHost,
  type Update,
  updateMatrix,
  weightReader,
  wholeUpdate,
} from '../../src/index.js';
import { createRandom } from '../../src/random.js';
import { adapterRows } from '../golden-set.js';
import { hostWeights, tinyConfig } from '../tiny.js';

const tf = loadTf();
const layers = linearShapes(tinyConfig);
const weightOf = weightReader(hostWeights());
const rows: [string, MethodOptions][] = adapterRows.map((row) => [row.name, row]);
/** Of every shape that the model has, one. */
const ofEachShape = layers.filter(
  (a, i) => layers.findIndex((b) => b.inDim === a.inDim && b.outDim === a.outDim) === i,
);

/** A method's variables far from their start. */
function trained(options: MethodOptions) {
  const adapter = { method: createMethod(options), paths: layers.map(({ name }) => name), dropout: 0 };
  const variables = new Map(
    [...initialAdapter(tinyConfig, adapter, 5, weightOf)].map(([name, { shape }], i) => [
      name,
      name.endsWith('mora_groups')
        ? { shape, data: Float32Array.of(1, 0) }
        : toHost(tf.randomNormal(shape, 0, 0.1, 'float32', i + 1)),
    ]),
  );
  const rolesOf = (path: string): Record<string, HostTensor> =>
    Object.fromEntries(
      [...variables].flatMap(([name, value]) =>
        name.startsWith(`${path}.`) ? [[name.slice(path.length + 1), value]] : [],
      ),
    );
  return { adapter, variables, rolesOf };
}

const matrixOf = (update: Update): Float32Array => tf.tidy(() => updateMatrix(update).dataSync()) as Float32Array;
const sizeOf = (data: ArrayLike<number>): number => Math.max(...Array.from(data, Math.abs));

test.each(rows)('%s: the update is what merging adds to the weight, at every share', (_, options) => {
  const { adapter, variables, rolesOf } = trained(options);
  for (const lambda of [1, 0.3, 0]) {
    const merge = createMerge(adapter, variables, lambda);
    for (const layer of ofEachShape) {
      const weight = weightOf(`${layer.name}.weight`);
      const made = matrixOf(layerUpdate(adapter.method, layer, rolesOf(layer.name), weight, lambda));
      const merged = merge(`${layer.name}.weight`, weight).data;
      expect(made).toHaveLength(merged.length);
      const apart = sizeOf(made.map((value, i) => value + (weight.data[i] ?? 0) - (merged[i] ?? 0)));
      expect(apart).toBeLessThan(1e-6 * Math.max(sizeOf(merged), 1));
      if (lambda > 0) expect(sizeOf(made)).toBeGreaterThan(1e-3);
    }
  }
});

const THIN = ['lora', 'pissa', 'mora-1', 'mora-2', 'mora-3', 'mora-4', 'mora-truncation'];
test.each(rows)('%s: its factors, where it has them, give the singular values of its whole matrix', (name, options) => {
  const { adapter, rolesOf } = trained(options);
  for (const layer of ofEachShape) {
    const weight = weightOf(`${layer.name}.weight`);
    const update = layerUpdate(adapter.method, layer, rolesOf(layer.name), weight, 0.7);
    if (THIN.includes(name)) expect(update.kind).toBe('thin');
    if (update.kind === 'dense') return;
    const lab = createLayerLab(weight, { k: 4, random: createRandom(1) });
    const { outDim, inDim } = layer;
    const fast = lab.measure(update);
    const dense = lab.measure({ kind: 'dense', matrix: { shape: [outDim, inDim], data: matrixOf(update) } });
    lab.dispose();
    // Each gives the values of a matrix that rounding has moved by n·2⁻²⁴ of its norm (Golub & Van Loan 2013, §5.4.1), which processors do differently.
    const apart = 2 * Math.max(outDim, inDim) * 2 ** -24 * dense.norm;
    for (const [i, value] of dense.values.entries())
      expect(Math.abs((fast.values[i] ?? 0) - value)).toBeLessThan(apart);
    expect(fast.rank90).toBe(dense.rank90);
    expect(fast.overlap?.k).toBe(dense.overlap?.k);
    expect(fast.overlap?.left).toBeCloseTo(dense.overlap?.left ?? Number.NaN, 4);
    expect(fast.overlap?.right).toBeCloseTo(dense.overlap?.right ?? Number.NaN, 4);
  }
});

test('a LoRA of rank 2 has a rank of no more than two', () => {
  const { adapter, rolesOf } = trained({ type: 'lora', rank: 2, alpha: 4, use_rslora: false });
  const [layer] = layers;
  const weight = weightOf(`${layer?.name}.weight`);
  const lab = createLayerLab(weight, { k: 4, random: createRandom(1) });
  if (layer === undefined) throw new Error('no layer');
  const { rank90, stableRank, overlap, values } = lab.measure(
    layerUpdate(adapter.method, layer, rolesOf(layer.name), weight, 1),
  );
  lab.dispose();
  expect([values.length, overlap?.k]).toEqual([2, 2]);
  expect(rank90).toBeLessThanOrEqual(2);
  expect(stableRank).toBeLessThanOrEqual(2);
});

test('of a weight that is trained whole, the update is the difference times the share', () => {
  const tensor = (...values: number[]): HostTensor => ({ shape: [1, 3], data: Float32Array.from(values) });
  const update = wholeUpdate(tensor(1, 2, 3), tensor(2, 2, -1), 0.5);
  expect(update).toEqual({ kind: 'dense', matrix: tensor(0.5, 0, -2) });
});
