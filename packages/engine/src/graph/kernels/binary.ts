import { invariant } from '../../error.js';
import type { Entry, Graph } from '../graph.js';
import { INT, type Kernel, type Kernels, typed } from '../kernel.js';
import { broadcast } from '../sizes.js';

/** Arithmetic of two values, broadcast. */
const arithmetic =
  (op: string): Kernel =>
  ({ graph, input }) =>
    elementwise(graph, op, input('a'), input('b'));

const comparison =
  (op: string): Kernel =>
  ({ graph, input }) => {
    const [a, b] = [input('a'), input('b')];
    checkTypes(op, a, b);
    return graph.one(op, [a, b], { T: typed(a.dtype) }, broadcast(a.shape, b.shape), 'bool');
  };

const logical =
  (op: string): Kernel =>
  ({ graph, input }) =>
    graph.one(op, [input('a'), input('b')], {}, broadcast(input('a').shape, input('b').shape), 'bool');

const same = (names: string, kernel: (op: string) => Kernel): Kernels =>
  Object.fromEntries(names.split(' ').map((name) => [name, kernel(name)]));

export const binaryKernels: Kernels = {
  ...same('Atan2 FloorDiv Maximum Minimum Pow RealDiv SquaredDifference Sub', arithmetic),
  ...same('Equal Greater GreaterEqual Less LessEqual NotEqual', comparison),
  ...same('LogicalAnd LogicalOr', logical),
  Add: arithmetic('AddV2'),
  Mod: arithmetic('FloorMod'),
  // tfjs-core's gradients multiply by ones of full shape.
  Multiply: ({ graph, input }) => {
    const [a, b] = [input('a'), input('b')];
    const shape = broadcast(a.shape, b.shape);
    if (a.dtype === b.dtype && a.uniform === 1) return broadcastTo(graph, b, shape);
    if (a.dtype === b.dtype && b.uniform === 1) return broadcastTo(graph, a, shape);
    return elementwise(graph, 'Mul', a, b);
  },
  AddN: ({ graph, inputs }) => {
    const [x] = inputs;
    invariant(x !== undefined, 'AddN needs a tensor');
    return graph.one('AddN', inputs, { N: { int: inputs.length }, T: typed(x.dtype) }, x.shape, x.dtype);
  },
};

function broadcastTo(graph: Graph, x: Entry, shape: readonly number[]): Entry {
  if (x.shape.join() === shape.join()) return x;
  if (x.uniform !== undefined) return graph.fill(shape, x.uniform, x.dtype);
  return graph.one('BroadcastTo', [x, graph.ints(shape)], { T: typed(x.dtype), Tidx: INT }, shape, x.dtype);
}

function elementwise(graph: Graph, op: string, a: Entry, b: Entry): Entry {
  checkTypes(op, a, b);
  return graph.one(op, [a, b], { T: typed(a.dtype) }, broadcast(a.shape, b.shape), a.dtype);
}

function checkTypes(op: string, a: Entry, b: Entry): void {
  invariant(a.dtype === b.dtype, `${op} of ${a.dtype} and ${b.dtype}`);
}
