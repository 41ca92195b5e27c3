import { loadTf } from '../src/load.js';
import { gatherRows, matMul2d, statelessRandomUniform, type Tensor } from '../src/raw-ops.js';
import { waves } from './helpers.js';

const tf = loadTf();

export interface KernelInputs {
  x: Tensor; // [2, 3, 4]
  y: Tensor; // [2, 3, 4], positive
  row: Tensor; // [4]
  m: Tensor; // [3, 4]
  ids: Tensor; // int32 [5], below 3
}

const int = (values: number[]) => tf.tensor1d(values, 'int32');
/** Gradient of sum(f(x) · a fixed wave), so that every element gets its own weight. */
const gradient = (f: (x: Tensor) => Tensor, x: Tensor): Tensor =>
  tf.grad((v) => {
    const out = f(v as Tensor);
    return tf.sum(tf.mul(out, tf.tensor(waves(out.size, 0.3), out.shape)));
  })(x) as Tensor;

const unaries: [string, (x: Tensor) => Tensor][] = (
  'abs ceil cos cosh elu erf exp expm1 floor neg relu relu6 round selu sigmoid sign sin sinh softplus square tan tanh atan asinh softmax ' +
  'logSoftmax zerosLike onesLike isFinite isInf isNaN step'
)
  .split(' ')
  .map((name) => [name, (x) => (tf as unknown as Record<string, (x: Tensor) => Tensor>)[name]?.(x) as Tensor]);

const positives: [string, (x: Tensor) => Tensor][] = 'acosh log log1p reciprocal rsqrt sqrt'
  .split(' ')
  .map((name) => [
    name,
    (y) => (tf as unknown as Record<string, (x: Tensor) => Tensor>)[name]?.(tf.add(y, 1)) as Tensor,
  ]);

/** Name and computation: together they reach every kernel, most through a gradient as well. */
export const kernelRows: [string, (inputs: KernelInputs) => Tensor | Tensor[]][] = [
  ...unaries.map(([name, f]): [string, (i: KernelInputs) => Tensor] => [name, ({ x }) => f(x)]),
  ...positives.map(([name, f]): [string, (i: KernelInputs) => Tensor] => [name, ({ y }) => f(y)]),
  ...'cos exp neg relu sigmoid sin softplus square tanh softmax logSoftmax erf'
    .split(' ')
    .map((name): [string, (i: KernelInputs) => Tensor] => [
      `gradient of ${name}`,
      ({ x }) => gradient((unaries.find(([n]) => n === name) as [string, (x: Tensor) => Tensor])[1], x),
    ]),
  ...positives.map(([name, f]): [string, (i: KernelInputs) => Tensor] => [
    `gradient of ${name}`,
    ({ y }) => gradient(f, y),
  ]),
  ['acos asin atanh', ({ x }) => [tf.acos(tf.mul(x, 0.3)), tf.asin(tf.mul(x, 0.3)), tf.atanh(tf.mul(x, 0.3))]],
  ['leakyRelu', ({ x }) => tf.leakyRelu(x, 0.1)],
  ['step with a slope', ({ x }) => tf.step(x, 0.25)],
  ['clipByValue', ({ x }) => tf.clipByValue(x, -0.5, 0.5)],
  ['cast', ({ x }) => [tf.cast(x, 'int32'), tf.cast(tf.greater(x, 0), 'float32'), tf.cast(x, 'bool')]],
  ['clone', ({ x }) => tf.clone(x)],
  [
    'binary',
    ({ x, y }) => [tf.add(x, y), tf.sub(x, y), tf.mul(x, y), tf.div(x, y), tf.maximum(x, y), tf.minimum(x, y)],
  ],
  [
    'binary, rare',
    ({ x, y }) => [tf.pow(y, x), tf.squaredDifference(x, y), tf.atan2(x, y), tf.mod(x, y), tf.floorDiv(x, y)],
  ],
  [
    'binary of int32',
    ({ ids }) => [tf.add(ids, ids), tf.mul(ids, int([2])), tf.floorDiv(ids, int([2])), tf.mod(ids, int([2]))],
  ],
  [
    'broadcast',
    ({ x, row, m }) => [
      tf.add(x, row),
      tf.mul(m, tf.reshape(row, [1, 4])),
      tf.sub(2, x),
      tf.mul(x, tf.ones([1, 3, 4])),
    ],
  ],
  ['gradient of broadcast sums', ({ x, row }) => gradient((r) => tf.mul(tf.add(x, r), x), row)],
  ['gradient of broadcast quotients', ({ x, row }) => gradient((r) => tf.div(x, tf.add(tf.square(r), 1)), row)],
  ['gradient of maximum and minimum', ({ x, y }) => gradient((v) => tf.maximum(tf.minimum(v, y), tf.neg(y)), x)],
  ['gradient of pow', ({ x, y }) => gradient((v) => tf.pow(v, x), y)],
  [
    'comparisons',
    ({ x, y }) => [
      tf.greater(x, y),
      tf.greaterEqual(x, x),
      tf.less(x, y),
      tf.lessEqual(x, y),
      tf.equal(x, x),
      tf.notEqual(x, y),
    ],
  ],
  [
    'logical',
    ({ x }) => [
      tf.logicalAnd(tf.greater(x, 0), tf.less(x, 0.5)),
      tf.logicalOr(tf.less(x, 0), tf.greater(x, 0.5)),
      tf.logicalNot(tf.less(x, 0)),
      tf.logicalXor(tf.less(x, 0), tf.less(x, 0.5)),
    ],
  ],
  ['addN', ({ x, y }) => tf.addN([x, y, x])],
  ['sum', ({ x }) => [tf.sum(x), tf.sum(x, 1), tf.sum(x, [0, 2]), tf.sum(x, -1, true), tf.sum(tf.greater(x, 0))]],
  ['mean max min prod', ({ x }) => [tf.mean(x, 1), tf.mean(x), tf.max(x, -1), tf.min(x, 0, true), tf.prod(x, 2)]],
  ['all any', ({ x }) => [tf.all(tf.greater(x, 0), 1), tf.any(tf.greater(x, 0), -1, true)]],
  ['gradient of mean', ({ x }) => gradient((v) => tf.mean(v, 1, true), x)],
  ['gradient of max', ({ x }) => gradient((v) => tf.max(v, -1), x)],
  ['logSumExp', ({ x }) => [tf.logSumExp(x, 2), gradient((v) => tf.logSumExp(v, -1), x)]],
  ['argMax argMin', ({ x }) => [tf.argMax(x, -1), tf.argMin(x, 1)]],
  [
    'cumsum cumprod',
    ({ x }) => [tf.cumsum(x, 1), tf.cumsum(x, -1, true, true), tf.cumprod(x, 2), gradient((v) => tf.cumsum(v, 2), x)],
  ],
  [
    'topk',
    ({ x }) => {
      const { values, indices } = tf.topk(x, 2);
      return [values, indices];
    },
  ],
  [
    'reshape',
    ({ x }) => [
      tf.reshape(x, [6, -1]),
      tf.expandDims(x, -1),
      tf.squeeze(tf.expandDims(x, 0)),
      gradient((v) => tf.reshape(v, [24]), x),
    ],
  ],
  [
    'transpose',
    ({ x, m }) => [tf.transpose(x, [2, 0, 1]), tf.transpose(m), gradient((v) => tf.transpose(v, [1, 0, 2]), x)],
  ],
  ['slice', ({ x }) => [tf.slice(x, [0, 1, 0], [2, 2, -1]), gradient((v) => tf.slice(v, [1, 0, 1], [1, 3, 2]), x)]],
  [
    'stridedSlice',
    ({ x }) => [tf.stridedSlice(x, [0, 0, 0], [2, 3, 4], [1, 2, 2]), tf.stridedSlice(x, [1], [2], [1], 0, 0, 0, 0, 1)],
  ],
  ['concat', ({ x, y }) => [tf.concat([x, y], 1), tf.concat([x], 0), gradient((v) => tf.concat([v, y], -1), x)]],
  [
    'split',
    ({ x }) => [...tf.split(x, 2, -1), ...tf.split(x, [1, 2], 1), gradient((v) => tf.split(v, 2, 2)[0] as Tensor, x)],
  ],
  ['stack', ({ x, y }) => [tf.stack([x, y], 1), tf.stack([x, y], -1), gradient((v) => tf.stack([v, y], 1), x)]],
  ['unstack', ({ x }) => [...tf.unstack(x, 1), gradient((v) => tf.unstack(v, 2)[1] as Tensor, x)]],
  ['tile', ({ x }) => [tf.tile(x, [1, 2, 3]), gradient((v) => tf.tile(v, [2, 1, 2]), x)]],
  ['broadcastTo', ({ m }) => [tf.broadcastTo(m, [2, 3, 4]), gradient((v) => tf.broadcastTo(v, [2, 3, 4]), m)]],
  ['reverse', ({ x }) => [tf.reverse(x, -2), tf.reverse(x, [0, 2]), gradient((v) => tf.reverse(v, 1), x)]],
  [
    'pad',
    ({ x, m }) => [
      tf.pad(
        x,
        [
          [0, 0],
          [1, 2],
          [0, 1],
        ],
        7,
      ),
      gradient(
        (v) =>
          tf.pad(v, [
            [1, 0],
            [0, 2],
          ]),
        m,
      ),
    ],
  ],
  [
    'mirrorPad',
    ({ m }) =>
      tf.mirrorPad(
        m,
        [
          [1, 0],
          [2, 1],
        ],
        'reflect',
      ),
  ],
  ['where', ({ x, y }) => [tf.where(tf.greater(x, 0), x, y), gradient((v) => tf.where(tf.greater(y, 0.5), v, y), x)]],
  [
    'made',
    () => [
      tf.fill([2, 3], 4),
      tf.zeros([2, 2]),
      tf.ones([3]),
      tf.range(0, 5, 2, 'int32'),
      tf.range(3, 0, -1),
      tf.linspace(0, 1, 5),
      tf.scalar(3),
      tf.tensor2d([
        [1, 2],
        [3, 4],
      ]),
    ],
  ],
  ['a large constant', () => tf.tensor1d(waves(100))],
  [
    'gather',
    ({ x, m, ids }) => [
      tf.gather(m, ids),
      tf.gather(x, int([1, 0]), 1),
      tf.gather(
        x,
        tf.tensor2d(
          [
            [0, 1],
            [2, 2],
          ],
          [2, 2],
          'int32',
        ),
        1,
        1,
      ),
    ],
  ],
  ['gradient of gather', ({ m, ids }) => gradient((v) => tf.gather(v, ids), m)],
  [
    'gatherND scatterND',
    ({ m }) => [
      tf.gatherND(
        m,
        tf.tensor2d(
          [
            [0, 1],
            [2, 3],
          ],
          [2, 2],
          'int32',
        ),
      ),
      tf.scatterND(tf.tensor2d([[4], [1]], [2, 1], 'int32'), tf.tensor1d([9, 10]), [6]),
    ],
  ],
  [
    'tensorScatterUpdate',
    ({ m }) =>
      tf.tensorScatterUpdate(
        m as never,
        tf.tensor2d([[2], [0]], [2, 1], 'int32') as never,
        tf.slice(m, [0, 0], [2, 4]) as never,
      ),
  ],
  [
    'unsortedSegmentSum',
    ({ x, ids }) => [
      tf.unsortedSegmentSum(tf.reshape(x, [6, 4]), int([0, 2, 0, 1, 2, 2]), 3),
      tf.unsortedSegmentSum(tf.cast(ids, 'float32') as never, ids as never, 3),
    ],
  ],
  ['oneHot', ({ ids }) => [tf.oneHot(ids, 3), tf.oneHot(ids, 3, 2, -1, 'float32')]],
  [
    'matMul',
    ({ x, m }) => [
      tf.matMul(m, m, false, true),
      tf.matMul(m, m, true),
      tf.matMul(x, x, false, true),
      tf.matMul(x, m, false, true),
      gradient((v) => tf.matMul(v, v, true), m),
      gradient((v) => tf.matMul(x, v, false, true), x),
    ],
  ],
  [
    'raw operations',
    ({ m, ids }) => [matMul2d(m, m, false, true), gatherRows(m, ids), statelessRandomUniform([3, 5], int([7, 9]))],
  ],
  [
    'layers',
    ({ x, m }) => [
      gradient((v) => tf.mul(tf.tanh(tf.matMul(v, m, false, true)), tf.sigmoid(tf.matMul(v, m, false, true))), x),
      gradient((v) => tf.softmax(tf.matMul(v, v, false, true)), x),
    ],
  ],
  ['norm', ({ x }) => [tf.norm(x), tf.norm(x, 2, -1), tf.euclideanNorm(x, 1)]],
];
