import type { GatherV2Attrs, OneHotAttrs, ScatterNdAttrs, UnsortedSegmentSumAttrs } from '@tensorflow/tfjs';
import type { GraphDtype } from '../attributes.js';
import { INT, type Kernels, typed } from '../kernel.js';
import { axisOf } from '../sizes.js';

/** Kernels that look values up by index, or put them there. Indices are not checked here: on a CPU TensorFlow refuses bad ones. */
export const lookupKernels: Kernels = {
  GatherV2: ({ graph, input, attrs }) => {
    const [x, indices] = [input('x'), input('indices')];
    const { axis: given, batchDims = 0 } = attrs<GatherV2Attrs>();
    const axis = axisOf(given, x.shape.length);
    const shape = [...x.shape.slice(0, axis), ...indices.shape.slice(batchDims), ...x.shape.slice(axis + 1)];
    const types = { Tparams: typed(x.dtype), Tindices: typed(indices.dtype), Taxis: INT };
    return graph.one(
      'GatherV2',
      [x, indices, graph.scalar(axis)],
      { batch_dims: { int: batchDims }, ...types },
      shape,
      x.dtype,
    );
  },
  GatherNd: ({ graph, input }) => {
    const [params, indices] = [input('params'), input('indices')];
    const depth = indices.shape.at(-1) ?? 0;
    const shape = [...indices.shape.slice(0, -1), ...params.shape.slice(depth)];
    return graph.one(
      'GatherNd',
      [params, indices],
      { Tparams: typed(params.dtype), Tindices: typed(indices.dtype) },
      shape,
      params.dtype,
    );
  },
  ScatterNd: ({ graph, input, attrs }) => {
    const [indices, updates] = [input('indices'), input('updates')];
    const { shape } = attrs<ScatterNdAttrs>();
    const types = { T: typed(updates.dtype), Tindices: typed(indices.dtype) };
    return graph.one('ScatterNd', [indices, updates, graph.ints(shape)], types, shape, updates.dtype);
  },
  TensorScatterUpdate: ({ graph, input }) => {
    const [x, indices, updates] = [input('tensor'), input('indices'), input('updates')];
    return graph.one(
      'TensorScatterUpdate',
      [x, indices, updates],
      { T: typed(x.dtype), Tindices: typed(indices.dtype) },
      x.shape,
      x.dtype,
    );
  },
  UnsortedSegmentSum: ({ graph, input, attrs }) => {
    const [x, ids] = [input('x'), input('segmentIds')];
    const { numSegments } = attrs<UnsortedSegmentSumAttrs>();
    const shape = [numSegments, ...x.shape.slice(ids.shape.length)];
    const types = { T: typed(x.dtype), Tindices: typed(ids.dtype), Tnumsegments: INT };
    return graph.one('UnsortedSegmentSum', [x, ids, graph.scalar(numSegments)], types, shape, x.dtype);
  },
  OneHot: ({ graph, input, attrs }) => {
    const indices = input('indices');
    const { depth, onValue, offValue, dtype = 'int32' } = attrs<OneHotAttrs>();
    const type = dtype as GraphDtype;
    const inputs = [indices, graph.scalar(depth), graph.scalar(onValue, type), graph.scalar(offValue, type)];
    return graph.one(
      'OneHot',
      inputs,
      { axis: { int: -1 }, T: typed(type), TI: typed(indices.dtype) },
      [...indices.shape, depth],
      type,
    );
  },
};
