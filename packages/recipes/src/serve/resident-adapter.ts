import { AppError } from '@moraine/contract';
import {
  type Adapter,
  between,
  createMerge,
  type HostTensor,
  type InRows,
  inRows,
  type MadeWeight,
  type WeightSource,
} from '@moraine/lm';
import { type Base, readWeight } from '../base.js';
import { readTrained, type Trained } from '../read-trained.js';
import { hashTrained } from './hash-trained.js';

/** What answers beside others in the rows of one model. */
export interface RowKind {
  /** Equal for adapters that share a group. */
  key: string;
  adapter: Adapter;
}

/** What was trained, read from its files: it answers in rows, or is merged into weights of its own. */
export type ReadServed = InRowsOfBase | Merged;

export interface InRowsOfBase {
  kind: RowKind;
  /** Its variables as rows have them, at a share of its update. */
  variablesAt(lambda: number): ReadonlyMap<string, HostTensor>;
  /** What they take on the host. */
  bytes: number;
}

export interface Merged {
  kind: null;
  /** The weights of base and a share of its update; those that change are computed when they are written. */
  weightsAt(lambda: number): Map<string, WeightSource | MadeWeight>;
}

/**
 * Reads what was trained on a base, of any method, and checks it against the base and its own hash.
 * @throws AppError `invalid_value` for files of another hash, and as `readTrained` does.
 */
export async function readServed(base: Base, id: string, dir: string): Promise<ReadServed> {
  const found = await hashTrained(dir);
  if (found !== id) throw otherHash(id, found, dir);
  const trained = readTrained(dir, base);
  const rows = rowsOf(base, trained);
  if (rows === null) return { kind: null, weightsAt: (lambda) => mergedWeights(base, trained, lambda) };
  const { adapter, variablesAt } = rows;
  const whole = variablesAt(1);
  const shapes = [...whole].map(([name, { shape }]) => [name, shape]);
  return {
    kind: { key: JSON.stringify([adapter.method.rows?.key, shapes]), adapter },
    variablesAt,
    bytes: [...whole.values()].reduce((total, { data }) => total + data.byteLength, 0),
  };
}

/** Null for what needs the base's weight, has no share by its variables, or brings weights trained whole. */
function rowsOf({ config }: Base, trained: Trained): InRows | null {
  if (trained.kind === 'whole') return null;
  const { adapter, variables } = trained;
  const hasWhole = [...variables.keys()].some((name) => /\.(weight|bias)$/.test(name));
  return adapter.method.scales === undefined || hasWhole ? null : inRows(config, adapter, variables);
}

function mergedWeights(base: Base, trained: Trained, lambda: number): Map<string, WeightSource | MadeWeight> {
  const weights = new Map<string, WeightSource | MadeWeight>(base.weights);
  const make = (name: string, value: (before: HostTensor) => HostTensor): void => {
    const shape = base.weights.get(name)?.shape;
    if (shape !== undefined) weights.set(name, { shape, make: () => value(readWeight(base, name)) });
  };
  if (trained.kind === 'whole') {
    for (const name of base.weights.keys())
      make(name, (before) => between(before, trained.weightOf(name) ?? before, lambda));
    return weights;
  }
  const { adapter, variables } = trained;
  const merge = createMerge(adapter, variables, lambda);
  for (const name of new Set([...adapter.paths.map((path) => `${path}.weight`), ...variables.keys()]))
    make(name, (before) => merge(name, before));
  return weights;
}

const otherHash = (id: string, found: string, dir: string): AppError =>
  new AppError('invalid_value', `The files in ${dir} have the hash ${found.slice(0, 12)}…, not ${id.slice(0, 12)}….`, {
    param: 'id',
    hint: 'Copy the folder again: what is served under a hash is what has it.',
  });
