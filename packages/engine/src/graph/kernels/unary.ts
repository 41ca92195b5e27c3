import type { CastAttrs, ClipByValueAttrs, LeakyReluAttrs, SoftmaxAttrs, StepAttrs } from '@tensorflow/tfjs';
import { invariant } from '../../error.js';
import type { GraphDtype } from '../attributes.js';
import type { Entry, Graph } from '../graph.js';
import { type Kernel, type Kernels, typed } from '../kernel.js';

/** One value in, one of the same shape and type out. */
const same =
  (op: string): Kernel =>
  ({ graph, inputs }) => {
    const x = only(inputs);
    return graph.one(op, [x], { T: typed(x.dtype) }, x.shape, x.dtype);
  };

/** A question about each value. */
const question =
  (op: string): Kernel =>
  ({ graph, inputs }) => {
    const x = only(inputs);
    return graph.one(op, [x], op === 'LogicalNot' ? {} : { T: typed(x.dtype) }, x.shape, 'bool');
  };

const filled =
  (value: number): Kernel =>
  ({ graph, inputs }) => {
    const x = only(inputs);
    return graph.fill(x.shape, value, x.dtype);
  };

const unaryNames =
  'Abs Acos Acosh Asin Asinh Atan Atanh Ceil Cos Cosh Elu Erf Exp Expm1 Floor Log Log1p Neg Relu Relu6 Round Rsqrt Selu Sigmoid Sign Sin ' +
  'Sinh Softplus Sqrt Square Tan Tanh';

export const unaryKernels: Kernels = {
  ...Object.fromEntries(unaryNames.split(' ').map((name) => [name, same(name)])),
  Reciprocal: same('Inv'),
  IsFinite: question('IsFinite'),
  IsInf: question('IsInf'),
  IsNan: question('IsNan'),
  LogicalNot: question('LogicalNot'),
  ZerosLike: filled(0),
  OnesLike: filled(1),
  // tfjs-core transposes other axes to the end.
  Softmax: ({ graph, inputs, attrs }) => {
    const x = only(inputs);
    const { dim } = attrs<SoftmaxAttrs>();
    invariant(dim === -1 || dim === x.shape.length - 1, `Softmax runs over the last axis only, not ${dim}`);
    return graph.one('Softmax', [x], { T: typed(x.dtype) }, x.shape, x.dtype);
  },
  Identity: ({ inputs }) => only(inputs),
  Cast: ({ graph, inputs, attrs }) => cast(graph, only(inputs), attrs<CastAttrs>().dtype as GraphDtype),
  ClipByValue: ({ graph, inputs, attrs }) => {
    const x = only(inputs);
    const { clipValueMin, clipValueMax } = attrs<ClipByValueAttrs>();
    const limits = [graph.scalar(clipValueMin, x.dtype), graph.scalar(clipValueMax, x.dtype)];
    return graph.one('ClipByValue', [x, ...limits], { T: typed(x.dtype) }, x.shape, x.dtype);
  },
  LeakyRelu: ({ graph, inputs, attrs }) => {
    const x = only(inputs);
    return graph.one(
      'LeakyRelu',
      [x],
      { T: typed(x.dtype), alpha: { float: attrs<LeakyReluAttrs>().alpha } },
      x.shape,
      x.dtype,
    );
  },
  Step: ({ graph, inputs, attrs }) => {
    const x = only(inputs);
    const { alpha } = attrs<StepAttrs>();
    const isPositive = graph.one('Greater', [x, graph.scalar(0, x.dtype)], { T: typed(x.dtype) }, x.shape, 'bool');
    const sides = [isPositive, graph.scalar(1, x.dtype), graph.scalar(alpha, x.dtype)];
    return graph.one('SelectV2', sides, { T: typed(x.dtype) }, x.shape, x.dtype);
  },
};

/** tfjs casts to bool by "is not zero", as TensorFlow does. */
function cast(graph: Graph, x: Entry, dtype: GraphDtype): Entry {
  const result = graph.cast(x, dtype);
  return x.uniform === undefined || dtype === 'bool' ? result : { ...result, uniform: x.uniform };
}

export function only(inputs: readonly Entry[]): Entry {
  const [x] = inputs;
  invariant(x !== undefined, 'a kernel was called without an input');
  return x;
}
