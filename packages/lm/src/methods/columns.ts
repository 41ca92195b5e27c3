import { loadTf, type Tensor } from '@moraine/engine';
import { at } from '../ops.js';

// Fixed linear maps of columns, two and two each other's transpose; none is differentiable by itself: call them inside `differentiable`.

/** Repeats the columns until there are `width` of them: y_i = x_(i mod k). A smaller width cuts. x [N, k] -> [N, width]. */
export function extend(x: Tensor, width: number): Tensor {
  const tf = loadTf();
  const [rows = 0, columns = 0] = x.shape;
  if (width === columns) return x;
  const whole = Math.floor(width / columns);
  const rest = width - whole * columns;
  const parts: Tensor[] = Array.from({ length: whole }, () => x);
  if (rest > 0) parts.push(tf.slice(x, [0, 0], [rows, rest]));
  return parts.length === 1 ? (parts[0] ?? x) : tf.concat(parts, 1);
}

/** The transpose of extend: adds up columns whose index is equal modulo `width`. x [N, k] -> [N, width]; missing columns are 0. */
export function fold(x: Tensor, width: number): Tensor {
  const tf = loadTf();
  const [rows = 0, columns = 0] = x.shape;
  if (width === columns) return x;
  const blocks = Math.ceil(columns / width);
  const whole = padColumns(x, blocks * width - columns);
  return blocks === 1 ? whole : tf.sum(tf.reshape(whole, [rows, blocks, width]), 1);
}

/** Columns in `width` groups side by side, the first k mod width of them one longer, added up. x [N, k] -> [N, width]. */
export function sumGroups(x: Tensor, width: number): Tensor {
  const tf = loadTf();
  const [rows = 0, columns = 0] = x.shape;
  const { length, longer } = groupsOf(columns, width);
  if (length === 0) return padColumns(x, width - columns);
  const sums = (from: number, count: number, size: number): Tensor[] =>
    count === 0 ? [] : [tf.sum(tf.reshape(tf.slice(x, [0, from], [rows, count * size]), [rows, count, size]), 2)];
  const parts = [...sums(0, longer, length + 1), ...sums(longer * (length + 1), width - longer, length)];
  return parts.length === 1 ? at(parts, 0) : tf.concat(parts, 1);
}

/** The transpose of sumGroups: every column as often as its group is long. x [N, groups] -> [N, width]. */
export function repeatGroups(x: Tensor, width: number): Tensor {
  const tf = loadTf();
  const [rows = 0, groups = 0] = x.shape;
  const { length, longer } = groupsOf(width, groups);
  const repeated = (from: number, count: number, size: number): Tensor[] => {
    if (count === 0 || size === 0) return [];
    const columns = tf.reshape(tf.slice(x, [0, from], [rows, count]), [rows, count, 1]);
    return [tf.reshape(tf.tile(columns, [1, 1, size]), [rows, count * size])];
  };
  const parts = [...repeated(0, longer, length + 1), ...repeated(longer, groups - longer, length)];
  return parts.length === 1 ? at(parts, 0) : tf.concat(parts, 1);
}

/** How `columns` are parted into groups: `longer` of them have one more than `length`. */
const groupsOf = (columns: number, groups: number) => ({
  length: Math.floor(columns / groups),
  longer: columns % groups,
});

/** The first `width` columns, zeros after the last. */
export function resize(x: Tensor, width: number): Tensor {
  const [rows = 0, columns = 0] = x.shape;
  return columns > width ? loadTf().slice(x, [0, 0], [rows, width]) : padColumns(x, width - columns);
}

function padColumns(x: Tensor, count: number): Tensor {
  if (count === 0) return x;
  const paddings: [number, number][] = [
    [0, 0],
    [0, count],
  ];
  return loadTf().pad(x, paddings) as Tensor;
}
