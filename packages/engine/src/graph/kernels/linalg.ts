import type { BatchMatMulAttrs } from '@tensorflow/tfjs';
import { type Kernels, typed } from '../kernel.js';
import { broadcast } from '../sizes.js';

export const linalgKernels: Kernels = {
  BatchMatMul: ({ graph, input, attrs }) => {
    const [a, b] = [input('a'), input('b')];
    const { transposeA = false, transposeB = false } = attrs<BatchMatMulAttrs>();
    const rows = a.shape.at(transposeA ? -1 : -2) ?? 0;
    const columns = b.shape.at(transposeB ? -2 : -1) ?? 0;
    const [adj_x, adj_y] = [{ bool: transposeA }, { bool: transposeB }];
    if (a.shape.length === 2 && b.shape.length === 2) {
      return graph.one(
        'MatMul',
        [a, b],
        { T: typed(a.dtype), transpose_a: adj_x, transpose_b: adj_y },
        [rows, columns],
        a.dtype,
      );
    }
    const shape = [...broadcast(a.shape.slice(0, -2), b.shape.slice(0, -2)), rows, columns];
    return graph.one('BatchMatMulV2', [a, b], { T: typed(a.dtype), adj_x, adj_y }, shape, a.dtype);
  },
};
