import { linearShapes, type ModelShape } from '@moraine/contract/plan';
import { type Adapter, adapterShapes } from './adapter.js';
import type { HostTensor } from './host.js';
import { rowVariables } from './lambda.js';

/** What an adapter is beside others in the rows of one model. */
export interface InRows {
  /** Of the size that it shares with others. */
  adapter: Adapter;
  /** Its variables there, at a share of its update. */
  variablesAt(lambda: number): Map<string, HostTensor>;
}

/**
 * Adapters of near sizes share one size in rows, so that one of another rank or of other layers needs no model traced anew: what the method says of
 * ranks, and the smallest set of layers among a few that has its own. Zeros fill what an adapter lacks, which leaves those layers to the base.
 * Null for a method whose adapters answer only as weights of their own.
 */
export function inRows(
  config: ModelShape,
  adapter: Adapter,
  variables: ReadonlyMap<string, HostTensor>,
): InRows | null {
  const { rows } = adapter.method;
  if (rows === undefined) return null;
  const { method, fill } = rows.shared?.(variables) ?? { method: adapter.method, fill: unchanged };
  const shared: Adapter = { ...adapter, method, paths: commonPaths(config, adapter.paths) };
  return {
    adapter: shared,
    variablesAt: (lambda) => {
      const own = rowVariables(adapter, variables, lambda);
      return new Map(
        [...adapterShapes(config, shared)].map(([name, shape]) => {
          const value = own.get(name);
          return [name, value === undefined ? zeros(shape) : fill(name.slice(name.lastIndexOf('.') + 1), value)];
        }),
      );
    },
  };
}

/** Sets of layers, the smaller ones first: what LoRA's authors adapted (arXiv:2106.09685, §7.1) and PEFT adapts unless told, attention, everything. */
const SETS = [/\.[qv]_proj$/, /\.self_attn\./, /./];

function commonPaths(config: ModelShape, paths: readonly string[]): string[] {
  const set = SETS.find((layers) => paths.every((path) => layers.test(path)));
  return linearShapes(config).flatMap(({ name }) => (set?.test(name) === true ? name : []));
}

const unchanged = (_role: string, value: HostTensor): HostTensor => value;

const zeros = (shape: number[]): HostTensor => ({
  shape,
  data: new Float32Array(shape.reduce((product, size) => product * size, 1)),
});
