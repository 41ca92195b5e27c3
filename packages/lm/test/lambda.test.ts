// Expected numbers: λ = 0 is the base and λ = 1 the adapter by definition; between them, W0 + λ(W − W0) from the merged weights.
import { linearShapes } from '@moraine/contract/plan';
import { loadTf, type Tensor } from '@moraine/engine';
import { expect, test } from 'vitest';
import {
  type Adapter,
  adapterAtLambda,
  adapterNet,
  createMerge,
  createMethod,
  createNet,
  exportAdapter,
  forward,
  type HostTensor,
  initialAdapter,
  type MethodOptions,
  scaledVariables,
  toDevice,
  toHost,
  weightReader,
} from '../src/index.js';
import { adapterRows } from './golden-set.js';
import { hostWeights, idsOf, tinyConfig, tinyWeights } from './tiny.js';

const tf = loadTf();
const paths = linearShapes(tinyConfig).map(({ name }) => name);
const NORM = 'model.norm.weight';
const weightOf = weightReader(hostWeights());
const rows: [string, MethodOptions][] = adapterRows.map((row) => [row.name, row]);

/** An adapter far from its start, and a weight that is trained whole beside it. */
function trained(options: MethodOptions): { adapter: Adapter; variables: Map<string, HostTensor> } {
  const adapter = { method: createMethod(options), paths, dropout: 0 };
  const variables = new Map(
    [...initialAdapter(tinyConfig, adapter, 5, weightOf)].map(([name, { shape }], i) => [
      name,
      // The groups of a restarted MoRA are no numbers to train.
      name.endsWith('mora_groups')
        ? { shape, data: Float32Array.of(1, 0) }
        : toHost(tf.randomNormal(shape, 0, 0.1, 'float32', i + 1)),
    ]),
  );
  variables.set(NORM, { shape: [32], data: Float32Array.from({ length: 32 }, (_, i) => 1 + i / 50) });
  return { adapter, variables };
}

const onDevice = (variables: ReadonlyMap<string, HostTensor>): Map<string, Tensor> =>
  new Map([...variables].map(([name, value]) => [name, toDevice(value)]));

const ids = () => tf.tensor2d([...idsOf(1, 9), ...idsOf(2, 9)], [2, 9], 'int32');
const logitsOf = (net: Parameters<typeof forward>[0]): Float32Array =>
  forward(net, tinyConfig, { ids: ids() }).dataSync() as Float32Array;
const adapted = ({ adapter, variables }: ReturnType<typeof trained>): Float32Array =>
  logitsOf(adapterNet(tinyConfig, tinyWeights(), adapter, onDevice(variables)));

/** max |a − b| / max |b|. */
function distance(a: Float32Array, b: Float32Array): number {
  const [apart, size] = [a.map((x, i) => Math.abs(x - (b[i] ?? 0))), b.map(Math.abs)];
  return Math.max(...apart) / Math.max(...size);
}

test.each(rows)('%s: at lambda 0 it is the base, at 1 the adapter, bit for bit', (_, options) => {
  const whole = trained(options);
  const at = (lambda: number) => adapterAtLambda(whole.adapter, whole.variables, lambda, weightOf);
  expect(adapted(at(0))).toEqual(logitsOf(createNet({ weights: tinyWeights() })));
  expect(adapted(at(1))).toEqual(adapted(whole));
  const merge = createMerge(whole.adapter, whole.variables, 0);
  for (const [name, value] of hostWeights()) expect(merge(name, value)).toEqual(value);
});

test.each(rows)(
  '%s: at lambda 0.3 adapter and merged weights are the same model, between base and adapter',
  (_, options) => {
    const whole = trained(options);
    const part = adapted(adapterAtLambda(whole.adapter, whole.variables, 0.3, weightOf));
    const merge = createMerge(whole.adapter, whole.variables, 0.3);
    const merged = new Map([...hostWeights()].map(([name, value]) => [name, toDevice(merge(name, value))]));
    expect(distance(part, logitsOf(createNet({ weights: merged })))).toBeLessThan(1e-5);
    expect(distance(part, adapted(whole))).toBeGreaterThan(0.01);
    expect(distance(part, logitsOf(createNet({ weights: tinyWeights() })))).toBeGreaterThan(0.01);
  },
);

test.each(rows.filter(([, { type }]) => type !== 'oft'))(
  '%s: the merged weights at lambda lie on the line from the base to the adapter',
  (_, options) => {
    const { adapter, variables } = trained(options);
    const [all, some] = [createMerge(adapter, variables), createMerge(adapter, variables, 0.25)];
    for (const name of [`${paths[0]}.weight`, `${paths.at(-1)}.weight`, NORM]) {
      const base = weightOf(name);
      const [w, part] = [all(name, base).data, some(name, base).data];
      const line = base.data.map((w0, i) => w0 + 0.25 * ((w[i] ?? 0) - w0));
      expect(distance(part, line)).toBeLessThan(1e-6);
    }
  },
);

test.each(rows.filter(([, { type }]) => type !== 'dora'))(
  '%s: the form that is stored at lambda holds the variables that compute it',
  (_, options) => {
    const { adapter, variables } = trained(options);
    const scaled = scaledVariables(adapter, variables, 0.3, weightOf);
    expect(scaled).toEqual(adapterAtLambda(adapter, variables, 0.3, weightOf).variables);
    const { native } = exportAdapter(tinyConfig, adapter, scaled, 'tiny');
    expect(native.tensors.size).toBeGreaterThan(0);
  },
);

test('DoRA at a share of its update has no form of its own, and is told what there is', () => {
  const { adapter, variables } = trained({ type: 'dora', rank: 2, alpha: 4, use_rslora: false });
  expect(() => scaledVariables(adapter, variables, 0.5, weightOf)).toThrow(
    expect.objectContaining({
      code: 'unsupported_format',
      param: 'lambda',
      message: expect.stringContaining('lambda 0.5'),
    }),
  );
  expect(scaledVariables(adapter, variables, 1, weightOf)).toEqual(variables);
});
