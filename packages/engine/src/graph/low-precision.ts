import type { RawAttributes, RawOutput } from '../raw-ops.js';
import type { GraphDtype } from './attributes.js';
import type { Entry, Graph } from './graph.js';

/**
 * An operation on a weight kept in bfloat16, with its result in float32: MatMul multiplies in bfloat16, GatherV2 looks rows up, Identity is
 * the weight itself. Undefined for operations that have no such form.
 */
export function bfloat16Op(
  graph: Graph,
  name: string,
  attributes: RawAttributes,
  inputs: readonly Entry[],
  outputs: readonly RawOutput[],
): Entry | undefined {
  const low: GraphDtype = 'bfloat16';
  const shape = outputs[0]?.shape ?? [];
  if (name === 'MatMul') {
    const cast = inputs.map((x) => graph.cast(x, low));
    return graph.cast(graph.one('MatMul', cast, { ...attributes, T: { type: low } }, shape, low), 'float32');
  }
  if (name === 'GatherV2') {
    return graph.cast(graph.one('GatherV2', inputs, { ...attributes, Tparams: { type: low } }, shape, low), 'float32');
  }
  const [x] = inputs;
  return name === 'Identity' && x !== undefined ? graph.cast(x, 'float32') : undefined;
}
