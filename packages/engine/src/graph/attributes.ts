import type { ProtoWriter } from './proto.js';

/** TensorFlow's element types that graphs use here, with their numbers (tensorflow/core/framework/types.proto). */
const typeNumbers = {
  float32: 1,
  float64: 2,
  int32: 3,
  uint8: 4,
  string: 7,
  int64: 9,
  bool: 10,
  bfloat16: 14,
  float16: 19,
  resource: 20,
  uint64: 23,
} as const;

export type GraphDtype = keyof typeof typeNumbers;

/** Contents of a constant: little-endian bytes, row by row. */
export interface ConstantValue {
  dtype: GraphDtype;
  shape: readonly number[];
  bytes: Uint8Array;
}

/** Value of a node's attribute. */
export type Attribute =
  | { type: GraphDtype }
  | { int: number }
  | { float: number }
  | { bool: boolean }
  | { string: string }
  | { shape: readonly number[] }
  | { ints: readonly number[] }
  | { types: readonly GraphDtype[] }
  | { constant: ConstantValue };

export type Attributes = Readonly<Record<string, Attribute>>;

function writeShape(writer: ProtoWriter, shape: readonly number[]): void {
  for (const size of shape) writer.message(2, (dim) => dim.int(1, size));
}

/** An AttrValue message (tensorflow/core/framework/attr_value.proto). */
export function writeAttribute(writer: ProtoWriter, value: Attribute): void {
  if ('type' in value) writer.int(6, typeNumbers[value.type]);
  else if ('int' in value) writer.int(3, value.int);
  else if ('float' in value) writer.float(4, value.float);
  else if ('bool' in value) writer.bool(5, value.bool);
  else if ('string' in value) writer.bytes(2, value.string);
  else if ('shape' in value) writer.message(7, (shape) => writeShape(shape, value.shape));
  else if ('ints' in value) {
    writer.message(1, (list) => {
      for (const int of value.ints) list.int(3, int);
    });
  } else if ('types' in value) {
    writer.message(1, (list) => {
      for (const type of value.types) list.int(6, typeNumbers[type]);
    });
  } else {
    const { dtype, shape, bytes } = value.constant;
    writer.message(8, (tensor) => {
      tensor.int(1, typeNumbers[dtype]).message(2, (dims) => writeShape(dims, shape));
      tensor.bytes(4, bytes);
    });
  }
}
