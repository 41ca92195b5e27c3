import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { AppError } from '@moraine/contract';
import { linearShapes, weightShapes } from '@moraine/contract/plan';
import { type Adapter, between, createMerge, exportLowRank, type HostTensor, scaledVariables } from '@moraine/lm';
import { type Base, loadBase, readWeight } from '../base.js';
import { readAdapter } from '../read-adapter.js';
import type { MergedWeights } from './merged.js';

/** What a run made: an adapter and its variables, or all weights anew. */
export type Result =
  | { kind: 'adapter'; adapter: Adapter; variables: ReadonlyMap<string, HostTensor> }
  | { kind: 'whole'; weightOf(name: string): HostTensor };

/** What lies in a folder: an adapter, or a whole model of the base's shape. @throws AppError as `readAdapter` and `loadBase` do. */
export function readResult(dir: string, base: Base): Result {
  const isModel = existsSync(join(dir, 'config.json'));
  return isModel ? readModel(dir, base) : { kind: 'adapter', ...readAdapter(dir, base.config) };
}

/** A whole model of the base's shapes. @throws AppError `invalid_value` naming the weight that differs. */
export function readModel(dir: string, base: Base): Extract<Result, { kind: 'whole' }> {
  const model = loadBase(dir);
  const other = [...base.weights].find(([name, { shape }]) => model.weights.get(name)?.shape.join() !== shape.join());
  if (other === undefined) return { kind: 'whole', weightOf: (name) => readWeight(model, name) };
  throw new AppError('invalid_value', `${dir} is a whole model of another shape than the base: ${other[0]} differs.`, {
    param: 'adapter',
    hint: 'Name the base that it was trained from.',
  });
}

/** Base and a share of the update as one model. */
export function mergedWeights(base: Base, result: Result, lambda: number): MergedWeights {
  if (result.kind === 'whole') {
    const { weightOf } = result;
    return {
      isChanged: () => lambda !== 0,
      weightOf: (name) => between(readWeight(base, name), weightOf(name), lambda),
    };
  }
  const { adapter, variables } = result;
  const merge = createMerge(adapter, variables, lambda);
  const changed = new Set([...adapter.paths.map((path) => `${path}.weight`), ...variables.keys()]);
  return {
    isChanged: (name) => lambda !== 0 && changed.has(name),
    weightOf: (name) => merge(name, readWeight(base, name)),
  };
}

/** Updates as a LoRA of one rank, weights beside them whole. */
export function lowRankFiles(base: Base, baseName: string, result: Result, lambda: number, rank: number) {
  const merged = mergedWeights(base, result, lambda);
  const paths = result.kind === 'adapter' ? result.adapter.paths : linearShapes(base.config).map(({ name }) => name);
  return exportLowRank(
    {
      config: base.config,
      baseName,
      paths,
      updateOf: (path) => updateOf(merged, base, `${path}.weight`),
      whole: wholeWeights(base, merged, paths),
    },
    rank,
  );
}

function updateOf(merged: MergedWeights, base: Base, name: string): HostTensor {
  const before = readWeight(base, name);
  const { shape, data } = merged.weightOf(name);
  return { shape, data: data.map((value, i) => value - (before.data[i] ?? 0)) };
}

/** Weights that changed and are no linear layer among `paths`. */
function wholeWeights(base: Base, merged: MergedWeights, paths: readonly string[]): Map<string, HostTensor> {
  const products = new Set(paths.map((path) => `${path}.weight`));
  const whole = new Map<string, HostTensor>();
  for (const name of weightShapes(base.config).keys()) {
    if (products.has(name) || !merged.isChanged(name)) continue;
    const [value, before] = [merged.weightOf(name), readWeight(base, name)];
    if (value.data.some((x, i) => x !== before.data[i])) whole.set(name, value);
  }
  return whole;
}

/** The variables of an adapter at a share of its update. @throws AppError `unsupported_format` where the method has no such form. */
export const variablesAt = (
  base: Base,
  adapter: Adapter,
  variables: ReadonlyMap<string, HostTensor>,
  lambda: number,
) => (lambda === 1 ? variables : scaledVariables(adapter, variables, lambda, (name) => readWeight(base, name)));
