import { AppError } from '@moraine/contract';
import { linearShapes, type ModelShape } from '@moraine/contract/plan';
import { type Adapter, adapterShapes, layerVariables } from './adapter.js';
import type { HostTensor } from './host.js';
import { rowVariables, scaledRoles } from './lambda.js';

/** What an adapter is beside others in the rows of one model. */
export interface InRows {
  /** Of the size that it shares with others. */
  adapter: Adapter;
  /** Its variables there, at a share of its update; all of it is computed once. */
  variablesAt(lambda: number): ReadonlyMap<string, HostTensor>;
}

/**
 * Adapters of near sizes share one size in rows, so that one of another rank or of other layers needs no model traced anew: what the method says of
 * ranks, and the smallest set of layers among a few that has its own. Zeros fill what an adapter lacks, which leaves those layers to the base.
 * Null for a method whose adapters answer only as weights of their own.
 * @throws AppError `invalid_value` for variables that are not those of the adapter's layers in this base.
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
  const own = rowVariables(adapter, variables);
  const shapes = adapterShapes(config, shared);
  const adapted = new Set(adapter.paths);
  const whole = new Map<string, HostTensor>();
  for (const name of new Set([...shapes.keys(), ...own.keys()])) {
    const dot = name.lastIndexOf('.');
    const [value, shape] = [own.get(name), shapes.get(name)];
    if (shape === undefined) throw otherBase(name, 'which the base has no layer for');
    if (value === undefined && adapted.has(name.slice(0, dot))) throw otherBase(name, 'which is missing');
    const filled = value === undefined ? zeros(shape) : fill(name.slice(dot + 1), value);
    if (filled.shape.join() !== shape.join())
      throw otherBase(name, `[${filled.shape.join(', ')}] in place of [${shape.join(', ')}]`);
    whole.set(name, filled);
  }
  return {
    adapter: shared,
    variablesAt: (lambda) =>
      new Map(
        [...layerVariables(shared, whole)].flatMap(([path, roles]) =>
          Object.entries(scaledRoles(method, roles, lambda)).map(
            ([role, value]) => [`${path}.${role}`, value] as const,
          ),
        ),
      ),
  };
}

/** Sets of layers, the smaller ones first: what LoRA's authors adapted (arXiv:2106.09685, §7.1) and PEFT adapts unless told, attention, everything. */
const SETS = [/\.[qv]_proj$/, /\.self_attn\./, /./];

function commonPaths(config: ModelShape, paths: readonly string[]): string[] {
  const set = SETS.find((layers) => paths.every((path) => layers.test(path)));
  return linearShapes(config).flatMap(({ name }) => (set?.test(name) === true ? name : []));
}

const otherBase = (name: string, problem: string): AppError =>
  new AppError('invalid_value', `The adapter's ${name} does not fit this base: ${problem}.`, {
    param: name,
    hint: 'Load it beside the base that it was trained on.',
  });

const unchanged = (_role: string, value: HostTensor): HostTensor => value;

const zeros = (shape: number[]): HostTensor => ({
  shape,
  data: new Float32Array(shape.reduce((product, size) => product * size, 1)),
});
