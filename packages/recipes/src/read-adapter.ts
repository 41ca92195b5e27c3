import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type AdapterConfig, AppError } from '@moraine/contract';
import type { AdapterOptions } from '@moraine/contract/methods/forms';
import { PEFT_PREFIX, type StoredForm, unsupported } from '@moraine/contract/methods/stored';
import {
  adapterConfigName,
  type ModelShape,
  noAdapter,
  requireForm,
  storedAdapter,
  weightShapes,
} from '@moraine/contract/plan';
import { EngineError, readSafetensors, readSafetensorsHeader } from '@moraine/engine';
import { type Adapter, adapterAtLambda, createMethod, type HostTensor, storedMethod } from '@moraine/lm';
import { type Base, readWeight } from './base.js';

/** An adapter read from a folder: what it is, and its variables `<path>.<role>`. */
export interface ReadAdapter {
  adapter: Adapter;
  /** The method with its numbers. */
  options: AdapterOptions;
  /** Why no run can go on training it; null where one can. */
  untrainable: string | null;
  variables: Map<string, HostTensor>;
}

type Json = Record<string, unknown>;

/**
 * Reads an adapter for a base, in the form of any method: its own, or PEFT's layout, whatever tool wrote it.
 * @throws AppError `unsupported_format` for what is neither or cannot be applied as it was trained, `invalid_value` when it is of another base or
 * holds numbers that are not finite.
 */
export function readAdapter(dir: string, base: ModelShape): ReadAdapter {
  const { json, file, form } = openAdapter(dir);
  const { own, whole } = partTensors(dir, form, json, base);
  const { options, paths, variables } = storedMethod(form).read({ dir, file, json, tensors: own, base });
  return {
    adapter: { method: createMethod(options), paths, dropout: 0 },
    options,
    untrainable: form.untrainable?.(json) ?? null,
    variables: new Map([...variables, ...whole()]),
  };
}

/** The configuration of an adapter's folder and its form. */
function openAdapter(dir: string) {
  const configName = existsSync(dir) ? adapterConfigName(readdirSync(dir)) : undefined;
  if (configName === undefined) throw noAdapter(dir);
  const file = join(dir, configName);
  const json = readJson(file);
  return { configName, file, json, form: requireForm(configName, json, file) };
}

/**
 * The configuration of a run that goes on training the adapter in a folder; of its weights the header is read.
 * @throws AppError as `storedAdapter` does.
 */
export function readAdapterConfig(dir: string, base: ModelShape): AdapterConfig {
  const { form, ...folder } = openAdapter(dir);
  const { entries } = openSafetensors(join(dir, form.weightsName), dir, readSafetensorsHeader);
  return storedAdapter({ ...folder, shapes: new Map(entries.map(({ name, shape }) => [name, shape])) }, base);
}

/**
 * An adapter as it computes at a share of its update; undefined, the base alone, at 0.
 * @throws AppError as `readAdapter` does
 */
export function readAdapterAt(
  dir: string,
  base: Base,
  lambda: number,
): Pick<ReadAdapter, 'adapter' | 'variables'> | undefined {
  const { adapter, variables } = readAdapter(dir, base.config);
  return lambda === 0 ? undefined : adapterAtLambda(adapter, variables, lambda, (name) => readWeight(base, name));
}

type Parts = Record<'own' | 'whole', Map<string, HostTensor>>;

/** The tensors of the adapter and, by the base's names, those of modules that were trained whole; the file is read when the first is asked for. */
function partTensors(dir: string, form: StoredForm, json: Json, base: ModelShape) {
  let parts: Parts | undefined;
  const read = (): Parts => {
    parts ??= readParts(dir, form, json, base);
    return parts;
  };
  return { own: () => read().own, whole: () => read().whole };
}

function readParts(dir: string, form: StoredForm, json: Json, base: ModelShape): Parts {
  const names = weightShapes(base);
  const prefix = form.peftType === undefined ? '' : PEFT_PREFIX;
  const parts: Parts = { own: new Map(), whole: new Map() };
  const stored = tensorsOf(dir, form.weightsName);
  refuseMissing(dir, json, [...stored.keys()]);
  for (const [key, tensor] of stored) {
    const name = key.startsWith(prefix) ? key.slice(prefix.length) : key;
    const shape = names.get(name);
    if (shape === undefined) parts.own.set(key, tensor);
    else if (shape.join() === tensor.shape.join()) parts.whole.set(name, tensor);
    else throw otherShape(dir, name, tensor.shape, shape);
  }
  if (base.tieEmbeddings && form.peftType !== undefined) dropTiedHead(dir, `${prefix}lm_head.weight`, parts);
  return parts;
}

/**
 * PEFT does not tie what it trained unless asked to, and then it writes the head of a tied base beside its embedding.
 * @throws AppError where the two differ or one was trained alone
 */
function dropTiedHead(dir: string, head: string, { own, whole }: Parts): void {
  const [stored, embedding] = [own.get(head), whole.get('model.embed_tokens.weight')];
  if (stored === undefined && embedding === undefined) return;
  if (stored === undefined || embedding === undefined || embedding.data.some((value, i) => value !== stored.data[i]))
    throw unsupported(dir, 'its head is not its embedding, and this base ties the two');
  own.delete(head);
}

const otherShape = (dir: string, name: string, found: readonly number[], wanted: readonly number[]): AppError =>
  new AppError('invalid_value', `${dir}: ${name} is [${found.join(', ')}], this base needs [${wanted.join(', ')}].`, {
    param: 'adapter',
    hint: 'Name the base that the adapter was trained on.',
  });

/** @throws AppError `unsupported_format` for a module that was trained whole and is not in the file. */
function refuseMissing(dir: string, { modules_to_save: asked }: Json, stored: readonly string[]): void {
  const there = stored.map((name) => name.slice(0, name.lastIndexOf('.')));
  const isThere = (module: unknown) => there.some((path) => path.endsWith(String(module)));
  const missing = Array.isArray(asked) ? asked.find((module) => !isThere(module)) : undefined;
  if (missing !== undefined)
    throw unsupported(dir, `modules_to_save names ${String(missing)}, whose weights it does not hold`);
}

function tensorsOf(dir: string, name: string): Map<string, HostTensor> {
  const file = join(dir, name);
  const found = new Map<string, HostTensor>();
  for (const [key, { shape, data }] of openSafetensors(file, dir, readSafetensors).tensors) {
    if (!(data instanceof Float32Array)) throw unsupported(file, `${key} is not of a floating type`);
    const at = data.findIndex((value) => !Number.isFinite(value));
    if (at >= 0) throw notFinite(file, `${key} [${shape.join(', ')}] has ${data[at]} as element ${at}`);
    found.set(key, { shape, data });
  }
  return found;
}

function openSafetensors<T>(file: string, dir: string, read: (file: string) => T): T {
  if (!existsSync(file)) {
    throw new AppError('not_found', `${dir} holds no ${basename(file)}.`, {
      hint: 'Save the adapter as safetensors (PEFT: save_pretrained does), or copy the whole folder.',
    });
  }
  try {
    return read(file);
  } catch (cause) {
    if (!(cause instanceof EngineError)) throw cause;
    throw new AppError('unsupported_format', cause.message, { hint: cause.hint, cause });
  }
}

const notFinite = (file: string, problem: string): AppError =>
  new AppError('invalid_value', `${file}: ${problem}.`, {
    param: 'adapter',
    hint: 'The run that wrote it diverged, or the file is damaged: take an earlier checkpoint, or copy it again.',
  });

function readJson(file: string): Json {
  try {
    const value: unknown = JSON.parse(readFileSync(file, 'utf8'));
    if (typeof value === 'object' && value !== null) return value as Json;
  } catch (cause) {
    throw unsupported(file, `it is not JSON (${cause instanceof Error ? cause.message : String(cause)})`);
  }
  throw unsupported(file, 'it holds no JSON object');
}
