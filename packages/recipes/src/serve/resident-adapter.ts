import { AppError } from '@moraine/contract';
import { invariant } from '@moraine/engine';
import {
  type Adapter,
  adapterShapes,
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

/** An adapter whose files were read. */
export interface ReadServed {
  /** Null: it is merged into weights of its own. */
  kind: RowKind | null;
  /** Its variables as rows have them, at a share of its update, where it has a kind. */
  variablesAt(lambda: number): ReadonlyMap<string, HostTensor>;
  /** The weights of base and a share of its update; those that change are computed when they are written. */
  weightsAt(lambda: number): Map<string, WeightSource | MadeWeight>;
  /** What its variables take on the host. */
  bytes: number;
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
  return {
    kind: rows && kindOf(base, rows.adapter),
    bytes: trained.kind === 'adapter' ? bytesOf(trained.variables) : 0,
    variablesAt: (lambda) => {
      invariant(rows !== null, 'what is merged has no variables in rows');
      return rows.variablesAt(lambda);
    },
    weightsAt: (lambda) => mergedWeights(base, trained, lambda),
  };
}

const bytesOf = (variables: ReadonlyMap<string, HostTensor>): number =>
  [...variables.values()].reduce((total, { data }) => total + data.byteLength, 0);

/** Null for what needs the base's weight, has no share by its variables, or brings weights trained whole. */
function rowsOf({ config }: Base, trained: Trained): InRows | null {
  if (trained.kind === 'whole') return null;
  const { adapter, variables } = trained;
  const hasWhole = [...variables.keys()].some((name) => /\.(weight|bias)$/.test(name));
  return adapter.method.scales === undefined || hasWhole ? null : inRows(config, adapter, variables);
}

const kindOf = ({ config }: Base, adapter: Adapter): RowKind => ({
  key: JSON.stringify([adapter.method.rows?.key, [...adapterShapes(config, adapter)]]),
  adapter,
});

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
