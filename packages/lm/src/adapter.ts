import { linearShapes, type ModelShape } from '@moraine/contract/plan';
import { invariant, loadTf, type Tensor } from '@moraine/engine';
import { asMatrix, type HostTensor, onHost, toDevice } from './host.js';
import type { Method } from './methods/method.js';
import { type AdaptedLinear, createNet, type Net } from './net.js';
import { createRandom, hashName, mix32 } from './random.js';

/** What is trained beside a frozen base: one method on the linear layers at `paths`. */
export interface Adapter {
  method: Method;
  /** Hugging Face module paths, for example `model.layers.0.self_attn.q_proj`. */
  paths: readonly string[];
  /** Share of the adapter's inputs set to zero while training; 0 is off. */
  dropout: number;
  /** Steps after which it is merged into its method's sum and starts again; absent: never. */
  restartEvery?: number | undefined;
}

/** Name of an adapter's variable: `<path>.<role>`. */
const variableName = (path: string, role: string) => `${path}.${role}`;

/** Gives a weight of the base by name. */
export type WeightReader = (name: string) => HostTensor;

/**
 * Starting values of all variables, `<path>.<role>` -> tensor. Each depends on the seed, its name and, in some methods, the layer's weight,
 * which is read one at a time.
 */
export function initialAdapter(
  config: ModelShape,
  adapter: Adapter,
  seed: number,
  weightOf: WeightReader,
): Map<string, HostTensor> {
  const { method } = adapter;
  const values = new Map<string, HostTensor>();
  for (const { name: path, inDim, outDim } of adaptedShapes(config, adapter)) {
    const random = createRandom(mix32(seed, hashName(path)));
    const roles = { ...method.init({ inDim, outDim }, random), ...method.fit?.(weightOf(`${path}.weight`), random) };
    for (const [role, value] of Object.entries(roles)) values.set(variableName(path, role), value);
  }
  return values;
}

/** Shapes of all variables, `<path>.<role>`; no value is computed from a weight. */
export function adapterShapes(config: ModelShape, adapter: Adapter): Map<string, number[]> {
  const { method, ...rest } = adapter;
  const { fit: _fit, ...unfitted } = method;
  const unread: WeightReader = (name) => {
    invariant(false, `${name} is not read for shapes`);
  };
  const values = initialAdapter(config, { ...rest, method: unfitted }, 0, unread);
  return new Map([...values].map(([name, { shape }]) => [name, [...shape]]));
}

/**
 * The variables of an adapter that is merged and starts again for the `times`th time: the sum of its updates grows by what it does now, the rest
 * has new starting values, which depend on the seed, the time and the name alone. The adapter computes what it computed before.
 */
export function restartedAdapter(
  config: ModelShape,
  adapter: Adapter,
  variables: ReadonlyMap<string, HostTensor>,
  { seed, times }: { seed: number; times: number },
): Map<string, HostTensor> {
  const { method } = adapter;
  invariant(method.merged !== undefined, 'the method keeps no sum of updates, so it cannot be restarted');
  const values = new Map<string, HostTensor>();
  const layers = layerVariables(adapter, variables);
  for (const { name: path, inDim, outDim } of adaptedShapes(config, adapter)) {
    const random = createRandom(mix32(seed, hashName(path), times));
    const fresh = method.init({ inDim, outDim }, random, times);
    for (const [role, value] of Object.entries(fresh)) values.set(variableName(path, role), value);
    values.set(variableName(path, method.merged), updateOf(method, layers.get(path) ?? {}, inDim, outDim));
  }
  return values;
}

/** What a method that adds to y0 adds to the weight, [out, in]. */
function updateOf(
  method: Method,
  roles: Readonly<Record<string, HostTensor>>,
  inDim: number,
  outDim: number,
): HostTensor {
  const tf = loadTf();
  return onHost(() => {
    const onDevice = Object.fromEntries(Object.entries(roles).map(([role, value]) => [role, toDevice(value)]));
    const none = tf.zeros([outDim, inDim]) as Tensor;
    return tf.transpose(
      asMatrix((unit) => method.apply(unit, none, tf.zeros([unit.shape[0] ?? 0, outDim]) as Tensor, onDevice), inDim),
    );
  });
}

/** Sorts named variables by layer, for a net. A layer's dropout site is its place among all linear layers of the model. */
export function adaptedLinears(
  config: ModelShape,
  adapter: Adapter,
  variables: ReadonlyMap<string, Tensor>,
): Map<string, AdaptedLinear> {
  const sites = new Map(linearShapes(config).map(({ name }, site) => [name, site]));
  return new Map(
    [...layerVariables(adapter, variables)].map(([path, roles]) => [
      path,
      { variables: roles, site: sites.get(path) ?? 0 },
    ]),
  );
}

/** An adapter's variables by layer, then by role. */
export function layerVariables<T>(adapter: Adapter, variables: ReadonlyMap<string, T>): Map<string, Record<string, T>> {
  const layers = new Map<string, Record<string, T>>(adapter.paths.map((path) => [path, {}]));
  for (const [name, value] of variables) {
    const dot = name.lastIndexOf('.');
    const layer = layers.get(name.slice(0, dot));
    if (layer !== undefined) layer[name.slice(dot + 1)] = value;
  }
  return layers;
}

function adaptedShapes(config: ModelShape, adapter: Adapter) {
  const wanted = new Set(adapter.paths);
  return linearShapes(config).filter(({ name }) => wanted.has(name));
}

/** A net over a base and an adapter's variables, weights trained whole among them, without dropout: for evaluation and generation. */
export function adapterNet(
  config: ModelShape,
  weights: ReadonlyMap<string, Tensor>,
  adapter: Adapter,
  variables: ReadonlyMap<string, Tensor>,
): Net {
  const current = { get: (name: string) => variables.get(name) ?? weights.get(name) };
  return createNet({ weights: current, adapted: adaptedLinears(config, adapter, variables), method: adapter.method });
}
