import type {
  ConcatAttrs,
  ExpandDimsAttrs,
  FillAttrs,
  LinSpaceAttrs,
  MirrorPadAttrs,
  PackAttrs,
  PadV2Attrs,
  RangeAttrs,
  ReshapeAttrs,
  ReverseAttrs,
  SliceAttrs,
  SplitVAttrs,
  StridedSliceAttrs,
  TileAttrs,
  TransposeAttrs,
  UnpackAttrs,
} from '@tensorflow/tfjs';
import { loadTf } from '../../load.js';
import type { GraphDtype } from '../attributes.js';
import { INT, type Kernels, typed } from '../kernel.js';
import { axisOf, broadcast, sizeOf } from '../sizes.js';
import { only } from './unary.js';

/** Kernels that move or make values and compute none. */
export const shapeKernels: Kernels = {
  Reshape: ({ graph, inputs, attrs }) => {
    const x = only(inputs);
    const { shape } = attrs<ReshapeAttrs>();
    const known = -sizeOf(shape); // one size may be -1
    return graph.reshape(
      x,
      shape.includes(-1) ? shape.map((size) => (size === -1 ? sizeOf(x.shape) / known : size)) : shape,
    );
  },
  ExpandDims: ({ graph, inputs, attrs }) => {
    const x = only(inputs);
    const shape = [...x.shape];
    shape.splice(axisOf(attrs<ExpandDimsAttrs>().dim, shape.length + 1), 0, 1);
    return graph.reshape(x, shape);
  },
  Transpose: ({ graph, inputs, attrs }) => {
    const x = only(inputs);
    const { perm } = attrs<TransposeAttrs>();
    const shape = perm.map((p) => x.shape[p] ?? 0);
    return graph.one('Transpose', [x, graph.ints(perm)], { T: typed(x.dtype), Tperm: INT }, shape, x.dtype);
  },
  Slice: ({ graph, inputs, attrs }) => {
    const x = only(inputs);
    const { begin, size } = attrs<SliceAttrs>();
    const [first = [], sizes = []] = loadTf().slice_util.parseSliceParams(
      { shape: [...x.shape] } as never,
      begin,
      size,
    );
    if (sizes.join() === x.shape.join()) return x;
    return graph.one(
      'Slice',
      [x, graph.ints(first), graph.ints(sizes)],
      { T: typed(x.dtype), Index: INT },
      sizes,
      x.dtype,
    );
  },
  StridedSlice: ({ graph, inputs, attrs }) => {
    const x = only(inputs);
    const a = attrs<StridedSliceAttrs>();
    const masks = [a.beginMask, a.endMask, a.ellipsisMask, a.newAxisMask, a.shrinkAxisMask] as const;
    const info = loadTf().slice_util.sliceInfo([...x.shape], a.begin, a.end, a.strides, ...masks);
    const [begin_mask, end_mask, ellipsis_mask, new_axis_mask, shrink_axis_mask] = masks.map((int) => ({
      int: int ?? 0,
    }));
    const flags = { begin_mask, end_mask, ellipsis_mask, new_axis_mask, shrink_axis_mask };
    const present = Object.fromEntries(Object.entries(flags).map(([key, value]) => [key, value ?? { int: 0 }]));
    const inputsOf = [x, graph.ints(a.begin), graph.ints(a.end), graph.ints(a.strides)];
    return graph.one('StridedSlice', inputsOf, { T: typed(x.dtype), Index: INT, ...present }, info.finalShape, x.dtype);
  },
  Concat: ({ graph, inputs, attrs }) => {
    const x = only(inputs);
    const axis = axisOf(attrs<ConcatAttrs>().axis, x.shape.length);
    const shape = x.shape.map((size, i) =>
      i === axis ? inputs.reduce((sum, { shape: s }) => sum + (s[i] ?? 0), 0) : size,
    );
    if (inputs.length === 1) return x;
    return graph.one(
      'ConcatV2',
      [...inputs, graph.scalar(axis)],
      { N: { int: inputs.length }, T: typed(x.dtype), Tidx: INT },
      shape,
      x.dtype,
    );
  },
  SplitV: ({ graph, inputs, attrs }) => {
    const x = only(inputs);
    const { numOrSizeSplits, axis: given } = attrs<SplitVAttrs>();
    const axis = axisOf(given, x.shape.length);
    const sizes = loadTf().backend_util.prepareSplitSize({ shape: x.shape } as never, numOrSizeSplits, axis);
    const outputs = sizes.map((size) => ({ shape: x.shape.map((d, i) => (i === axis ? size : d)), dtype: x.dtype }));
    const attributes = { num_split: { int: sizes.length }, T: typed(x.dtype), Tlen: INT };
    return graph.add('SplitV', [x, graph.ints(sizes), graph.scalar(axis)], attributes, outputs);
  },
  Pack: ({ graph, inputs, attrs }) => {
    const x = only(inputs);
    const axis = axisOf(attrs<PackAttrs>().axis, x.shape.length + 1);
    const shape = [...x.shape];
    shape.splice(axis, 0, inputs.length);
    return graph.one(
      'Pack',
      inputs,
      { N: { int: inputs.length }, T: typed(x.dtype), axis: { int: axis } },
      shape,
      x.dtype,
    );
  },
  Unpack: ({ graph, inputs, attrs }) => {
    const x = only(inputs);
    const axis = axisOf(attrs<UnpackAttrs>().axis, x.shape.length);
    const count = x.shape[axis] ?? 0;
    const output = { shape: x.shape.filter((_, i) => i !== axis), dtype: x.dtype };
    return graph.add(
      'Unpack',
      [x],
      { num: { int: count }, T: typed(x.dtype), axis: { int: axis } },
      Array(count).fill(output),
    );
  },
  Tile: ({ graph, inputs, attrs }) => {
    const x = only(inputs);
    const { reps } = attrs<TileAttrs>();
    const shape = x.shape.map((size, i) => size * (reps[i] ?? 1));
    return graph.one('Tile', [x, graph.ints(reps)], { T: typed(x.dtype), Tmultiples: INT }, shape, x.dtype);
  },
  Reverse: ({ graph, inputs, attrs }) => {
    const x = only(inputs);
    const axes = attrs<ReverseAttrs>().dims;
    const list = (Array.isArray(axes) ? axes : [axes]).map((axis) => axisOf(axis, x.shape.length));
    return graph.one('ReverseV2', [x, graph.ints(list)], { T: typed(x.dtype), Tidx: INT }, x.shape, x.dtype);
  },
  PadV2: ({ graph, inputs, attrs }) => {
    const x = only(inputs);
    const { paddings, constantValue } = attrs<PadV2Attrs>();
    const shape = x.shape.map((size, i) => size + (paddings[i]?.[0] ?? 0) + (paddings[i]?.[1] ?? 0));
    const table = graph.constant(paddings.flat(), [paddings.length, 2], 'int32');
    return graph.one(
      'PadV2',
      [x, table, graph.scalar(constantValue, x.dtype)],
      { T: typed(x.dtype), Tpaddings: INT },
      shape,
      x.dtype,
    );
  },
  MirrorPad: ({ graph, inputs, attrs }) => {
    const x = only(inputs);
    const { paddings, mode } = attrs<MirrorPadAttrs>();
    const shape = x.shape.map((size, i) => size + (paddings[i]?.[0] ?? 0) + (paddings[i]?.[1] ?? 0));
    const table = graph.constant(paddings.flat(), [paddings.length, 2], 'int32');
    return graph.one(
      'MirrorPad',
      [x, table],
      { T: typed(x.dtype), Tpaddings: INT, mode: { string: mode.toUpperCase() } },
      shape,
      x.dtype,
    );
  },
  Select: ({ graph, input }) => {
    const [condition, yes, no] = [input('condition'), input('t'), input('e')];
    const shape = broadcast(condition.shape, broadcast(yes.shape, no.shape));
    return graph.one('SelectV2', [condition, yes, no], { T: typed(yes.dtype) }, shape, yes.dtype);
  },
  Fill: ({ graph, attrs }) => {
    const { shape, value, dtype } = attrs<FillAttrs>();
    return graph.fill(shape, Number(value), (dtype ?? 'float32') as GraphDtype);
  },
  Range: ({ graph, attrs }) => {
    const { start, stop, step, dtype = 'float32' } = attrs<RangeAttrs>();
    const size = Math.max(0, Math.ceil((stop - start) / step));
    const type = dtype as GraphDtype;
    const limits = [graph.scalar(start, type), graph.scalar(stop, type), graph.scalar(step, type)];
    return graph.one('Range', limits, { Tidx: typed(type) }, [size], type);
  },
  LinSpace: ({ graph, attrs }) => {
    const { start, stop, num } = attrs<LinSpaceAttrs>();
    const limits = [graph.scalar(start, 'float32'), graph.scalar(stop, 'float32'), graph.scalar(num)];
    return graph.one('LinSpace', limits, { T: typed('float32'), Tidx: INT }, [num], 'float32');
  },
};
