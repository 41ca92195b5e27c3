import { basename, dirname, join } from 'node:path';
import { AppError } from '@moraine/contract';
import { type LinearShape, linearShapes, trainedAdapter } from '@moraine/contract/plan';
import { EngineError, readSafetensors, readSafetensorsHeader } from '@moraine/engine';
import { type Adapter, type HostTensor, layerUpdate, type Update, wholeUpdate } from '@moraine/lm';
import type { Base } from '../base.js';
import { isCheckpoint, readCheckpointMethod } from '../checkpoint.js';
import { readResult } from '../export/result.js';
import { adapterOf } from '../method.js';
import { resultDir } from '../read-trained.js';

/** What a base was changed by, read a layer at a time. */
export interface WeightSource {
  name: string;
  step: number | null;
  /** The linear layers that it changes. */
  layers: LinearShape[];
  /** Weights that it has in place of the base's and that are no linear layer: norms, embeddings, head. */
  others: number;
  /** ΔW of a layer at a share of it, from the base's weight. */
  updateOf(layer: LinearShape, weight: HostTensor, lambda: number): Update;
}

/**
 * Opens an adapter in any form, a whole model of the base's shape, or a checkpoint. Weights of a checkpoint and of a whole model are read when a layer
 * asks for them.
 * @throws AppError as `readAdapter` and `loadBase` do, `unsupported_format` for a checkpoint that does not say its method
 */
export function openSource(dir: string, base: Base): WeightSource {
  if (isCheckpoint(dir)) return checkpointSource(dir, base);
  const place = resultDir(dir);
  const read = readResult(place, base);
  const name = ['adapter', 'merged', 'peft'].includes(basename(place)) ? basename(dirname(place)) : basename(place);
  if (read.kind === 'whole') return wholeSource(name, null, base, () => true, read.weightOf);
  return adapterSource(name, null, base, read.adapter, readerOf(read.variables), [...read.variables.keys()]);
}

/** Reads the values of names that begin with something. */
type Reader = (prefix: string) => Map<string, HostTensor>;

const readerOf =
  (variables: ReadonlyMap<string, HostTensor>): Reader =>
  (prefix) =>
    new Map([...variables].filter(([name]) => name.startsWith(prefix)));

function checkpointSource(dir: string, base: Base): WeightSource {
  const { method, step } = readCheckpointMethod(dir);
  const file = join(dir, 'trainable.safetensors');
  const names = storedNames(file);
  const read: Reader = (prefix) => tensorsOf(file, (name) => name.startsWith(prefix));
  const name = `${basename(dirname(dirname(dir)))}/${basename(dir)}`;
  const adapter = 'target_modules' in method ? adapterOf(trainedAdapter(dir, method, step)) : null;
  if (adapter !== null) return adapterSource(name, step, base, adapter, read, names);
  const trained = new Set(names);
  return wholeSource(
    name,
    step,
    base,
    (weight) => trained.has(weight),
    (weight) => only(read(weight), weight),
  );
}

function storedNames(file: string): string[] {
  try {
    return readSafetensorsHeader(file).entries.map(({ name }) => name);
  } catch (cause) {
    if (!(cause instanceof EngineError)) throw cause;
    throw new AppError('unsupported_format', cause.message, { hint: cause.hint, cause });
  }
}

function tensorsOf(file: string, isWanted: (name: string) => boolean): Map<string, HostTensor> {
  const found = new Map<string, HostTensor>();
  for (const [name, { shape, data }] of readSafetensors(file, isWanted).tensors)
    if (data instanceof Float32Array) found.set(name, { shape, data });
  return found;
}

/** An adapter's layers, and linear layers that were trained whole beside them. */
function adapterSource(
  name: string,
  step: number | null,
  base: Base,
  adapter: Adapter,
  read: Reader,
  names: readonly string[],
): WeightSource {
  const adapted = new Set(adapter.paths);
  const stored = new Set(names);
  const isWhole = (layer: string): boolean => !adapted.has(layer) && stored.has(`${layer}.weight`);
  const layers = linearShapes(base.config).filter((layer) => adapted.has(layer.name) || isWhole(layer.name));
  const whole = names.filter((weight) => base.weights.has(weight));
  return {
    name,
    step,
    layers,
    others: whole.length - layers.filter((layer) => isWhole(layer.name)).length,
    updateOf: (layer, weight, lambda) => {
      const found = read(`${layer.name}.`);
      if (isWhole(layer.name)) return wholeUpdate(weight, only(found, `${layer.name}.weight`), lambda);
      const roles = [...found].map(([key, value]) => [key.slice(layer.name.length + 1), value] as const);
      return layerUpdate(adapter.method, layer, Object.fromEntries(roles), weight, lambda);
    },
  };
}

function wholeSource(
  name: string,
  step: number | null,
  base: Base,
  isTrained: (weight: string) => boolean,
  weightOf: (weight: string) => HostTensor,
): WeightSource {
  const layers = linearShapes(base.config).filter((layer) => isTrained(`${layer.name}.weight`));
  return {
    name,
    step,
    layers,
    others: [...base.weights.keys()].filter(isTrained).length - layers.length,
    updateOf: (layer, weight, lambda) => wholeUpdate(weight, weightOf(`${layer.name}.weight`), lambda),
  };
}

function only(tensors: ReadonlyMap<string, HostTensor>, name: string): HostTensor {
  const found = tensors.get(name);
  if (found !== undefined) return found;
  throw new AppError('unsupported_format', `The checkpoint holds no ${name}.`, {
    hint: 'Its file is damaged: take another checkpoint.',
  });
}
