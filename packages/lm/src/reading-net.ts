import type { ModelConfig } from '@moraine/contract/plan';
import { loadTf, type Tensor } from '@moraine/engine';
import { type Adapter, adaptedLinears, type WeightReader } from './adapter.js';
import { type HostTensor, onHost, toDevice } from './host.js';
import { forward } from './model.js';
import { createNet, type Net } from './net.js';

/** A model whose weights are read when they are used, with an adapter or without. */
export interface ReadModel {
  config: ModelConfig;
  weightOf: WeightReader;
  tuned?: { adapter: Adapter; variables: ReadonlyMap<string, HostTensor> } | undefined;
}

/**
 * Logits of rows of tokens [V] each position, without a compiled program and with one large weight in memory at a time: ids, row by row ->
 * [sum of lengths, V]. Rows are short; they are computed as one batch.
 */
export function logitsOf(model: ReadModel, rows: readonly (readonly number[])[]): HostTensor {
  const tf = loadTf();
  const time = Math.max(...rows.map((row) => row.length));
  const ids = rows.flatMap((row) => [...row, ...new Array<number>(time - row.length).fill(0)]);
  const real = rows.flatMap((row, i) => row.map((_, t) => i * time + t));
  return onHost(() => {
    const tensor = tf.tensor2d(ids, [rows.length, time], 'int32');
    const logits = forward(readingNet(model), model.config, { ids: tensor }); // [B*T, V]
    // What pads a row comes after it, where nothing looks.
    return tf.gather(logits, tf.tensor1d(real, 'int32')) as Tensor;
  });
}

/** A net that holds a layer's weight while the layer is computed. Its small tensors belong to the tidy around it. */
function readingNet({ config, weightOf, tuned }: ReadModel): Net {
  const tf = loadTf();
  const held = new Map<string, Tensor>();
  const get = (name: string): Tensor => {
    const known = held.get(name) ?? toDevice(ownWeight(name));
    held.set(name, known);
    return known;
  };
  const ownWeight = (name: string): HostTensor => tuned?.variables.get(name) ?? weightOf(name);
  const net = createNet({ weights: { get }, ...adaptedBy(config, tuned) });
  const once = (compute: () => Tensor): Tensor => {
    const result = tf.tidy(compute);
    held.clear();
    return result;
  };
  return {
    ...net,
    get: (name) => once(() => net.get(name)),
    linear: (path, x) => once(() => net.linear(path, x)),
    linears: (paths, x) => paths.map((path) => once(() => net.linear(path, x))),
    gather: (path, ids) => once(() => net.gather(path, ids)),
  };
}

function adaptedBy(config: ModelConfig, tuned: ReadModel['tuned']) {
  if (tuned === undefined) return {};
  const { adapter, variables } = tuned;
  const onDevice = new Map([...variables].map(([name, value]) => [name, toDevice(value)]));
  return { adapted: adaptedLinears(config, adapter, onDevice), method: adapter.method };
}
