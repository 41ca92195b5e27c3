import { AppError } from '@moraine/contract';
import { unsupported } from '@moraine/contract/methods/stored';
import { type LinearShape, linearShapes, type ModelShape } from '@moraine/contract/plan';
import type { HostTensor } from '../host.js';

/** An adapter's folder as its files say it, for a method to read. */
export interface AdapterSource {
  /** The folder and its configuration file, for messages. */
  dir: string;
  file: string;
  json: Readonly<Record<string, unknown>>;
  /** Reads the weights file, which may be large: after the configuration was found good. */
  tensors(): Map<string, HostTensor>;
  base: ModelShape;
}

/** The layers that variables `<path>.<role>` belong to, in the model's order. @throws AppError when one is not a linear layer of the base. */
export function layersOf(
  { dir, base }: AdapterSource,
  variables: ReadonlyMap<string, HostTensor>,
): [LinearShape, ...LinearShape[]] {
  const named = new Set([...variables.keys()].map((name) => name.slice(0, name.lastIndexOf('.'))));
  const shapes = linearShapes(base).filter(({ name }) => named.has(name));
  const known = new Set(shapes.map(({ name }) => name));
  const foreign = [...named].find((name) => !known.has(name));
  const [first, ...others] = shapes;
  if (foreign !== undefined || first === undefined) {
    throw new AppError('invalid_value', `${dir} adapts ${foreign ?? 'nothing'}, which the base does not have.`, {
      param: 'adapter',
      hint: 'Name the base that the adapter was trained on; only the linear layers of its blocks can be adapted.',
    });
  }
  return [first, ...others];
}

export function part({ dir }: AdapterSource, variables: ReadonlyMap<string, HostTensor>, name: string): HostTensor {
  const tensor = variables.get(name);
  if (tensor === undefined) throw unsupported(dir, `${name} is missing`);
  return tensor;
}

export function checkShape({ dir }: AdapterSource, name: string, { shape }: HostTensor, wanted: number[]): void {
  if (shape.join() === wanted.join()) return;
  throw new AppError(
    'invalid_value',
    `${dir}: ${name} is [${shape.join(', ')}], this base needs [${wanted.join(', ')}].`,
    {
      param: 'adapter',
      hint: 'Name the base that the adapter was trained on.',
    },
  );
}
