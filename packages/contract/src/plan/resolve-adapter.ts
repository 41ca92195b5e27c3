import type { LinearShape, ModelShape } from '../architectures/tensor.js';
import { type AdapterRequest, type MethodConfig, methodRow, resolveMethod } from '../methods/registry.js';
import { linearShapes, totalParameters } from './shapes.js';
import { matchTargets } from './targets.js';

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
  const adapter = resolveMethod(request, (targets) => {
    layers = matchTargets(shapes, targets).matched;
    return layers;
  });
  const trainableParameters = methodRow(adapter).trainableParameters(adapter, layers, totalParameters(base));
  return { adapter, trainableParameters };
}
