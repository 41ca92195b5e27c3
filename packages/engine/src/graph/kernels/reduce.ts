import type { ArgMaxAttrs, CumsumAttrs, MaxAttrs, SumAttrs, TopKAttrs } from '@tensorflow/tfjs';
import type { Entry } from '../graph.js';
import { INT, type Kernel, type Kernels, typed } from '../kernel.js';
import { axisOf } from '../sizes.js';
import { only } from './unary.js';

/** A reduction over some axes, or all. */
const reduction =
  (op: string): Kernel =>
  ({ graph, inputs, attrs }) => {
    const x = only(inputs);
    const { axis, reductionIndices, keepDims } = attrs<Partial<SumAttrs & MaxAttrs>>();
    const axes = axesOf(axis ?? reductionIndices, x);
    const shape = x.shape.flatMap((size, i) => (axes.includes(i) ? (keepDims ? [1] : []) : [size]));
    const isLogical = op === 'All' || op === 'Any';
    const common = { Tidx: INT, keep_dims: { bool: keepDims === true } };
    return graph.one(op, [x, graph.ints(axes)], isLogical ? common : { ...common, T: typed(x.dtype) }, shape, x.dtype);
  };

const argument =
  (op: string): Kernel =>
  ({ graph, inputs, attrs }) => {
    const x = only(inputs);
    const axis = axisOf(attrs<ArgMaxAttrs>().axis, x.shape.length);
    const shape = x.shape.filter((_, i) => i !== axis);
    return graph.one(op, [x, graph.scalar(axis)], { T: typed(x.dtype), Tidx: INT, output_type: INT }, shape, 'int32');
  };

const cumulative =
  (op: string): Kernel =>
  ({ graph, inputs, attrs }) => {
    const x = only(inputs);
    const { axis, exclusive, reverse } = attrs<CumsumAttrs>();
    const flags = { exclusive: { bool: exclusive === true }, reverse: { bool: reverse === true } };
    return graph.one(
      op,
      [x, graph.scalar(axisOf(axis, x.shape.length))],
      { T: typed(x.dtype), Tidx: INT, ...flags },
      x.shape,
      x.dtype,
    );
  };

export const reduceKernels: Kernels = {
  ...Object.fromEntries('All Any Max Mean Min Prod Sum'.split(' ').map((name) => [name, reduction(name)])),
  ArgMax: argument('ArgMax'),
  ArgMin: argument('ArgMin'),
  Cumsum: cumulative('Cumsum'),
  Cumprod: cumulative('Cumprod'),
  TopK: ({ graph, inputs, attrs }) => {
    const x = only(inputs);
    const { k, sorted } = attrs<TopKAttrs>();
    const shape = [...x.shape.slice(0, -1), k];
    const outputs = [
      { shape, dtype: x.dtype },
      { shape, dtype: 'int32' },
    ] as const;
    return graph.add(
      'TopKV2',
      [x, graph.scalar(k)],
      { T: typed(x.dtype), Tk: INT, index_type: INT, sorted: { bool: sorted } },
      outputs,
    );
  },
};

function axesOf(axis: number | number[] | null | undefined, { shape }: Entry): number[] {
  if (axis === null || axis === undefined) return shape.map((_, i) => i);
  return (Array.isArray(axis) ? axis : [axis]).map((a) => axisOf(a, shape.length));
}
