import type { LinearShape, ModelShape } from '../architectures/tensor.js';
import { type AdapterRequest, type MethodConfig, methodRow, resolveMethod } from '../methods/registry.js';
import { linearShapes, totalParameters } from './shapes.js';
import { matchTargets } from './targets.js';
import { matchModules, wholeParameters } from './whole-modules.js';

export interface ResolvedAdapter {
  adapter: MethodConfig;
  trainableParameters: number;
}

/**
 * The training method with every value it needs, its target modules as full paths of this base.
 * @throws AppError `invalid_value` for keys of another method and for ranks that a layer is too small for; `no_target_matched`.
 */
export function resolveAdapter(request: AdapterRequest, base: ModelShape): ResolvedAdapter {
  const shapes = linearShapes(base);
  let layers: readonly LinearShape[] = [];
  const { modules_to_save: named, ...own } = request;
  const method = resolveMethod(own, (targets) => {
    layers = matchTargets(shapes, targets).matched;
    return layers;
  });
  const adapted = layers.map(({ name }) => name);
  const adapter = named === undefined ? method : { ...method, modules_to_save: matchModules(base, named, adapted) };
  return { adapter, trainableParameters: countTrained(adapter, layers, base) };
}

function countTrained(adapter: MethodConfig, layers: readonly LinearShape[], base: ModelShape): number {
  const whole = wholeParameters(adapter, base);
  if (!('target_modules' in adapter)) return whole;
  return whole + methodRow(adapter).trainableParameters(adapter, layers, totalParameters(base));
}
