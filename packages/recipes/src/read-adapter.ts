import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { AppError } from '@moraine/contract';
import { type ModelShape, weightShapes } from '@moraine/contract/plan';
import { EngineError, readSafetensors } from '@moraine/engine';
import {
  type Adapter,
  type HostTensor,
  PEFT_PREFIX,
  STORED_METHODS,
  type StoredMethod,
  storedMethod,
  unsupported,
} from '@moraine/lm';

/** An adapter read from a folder: what it is, and its variables `<path>.<role>`. */
export interface ReadAdapter {
  adapter: Adapter;
  variables: Map<string, HostTensor>;
}

type Json = Record<string, unknown>;

/**
 * Reads an adapter for a base, in the form of any method: its own, or PEFT's layout, whatever tool wrote it.
 * @throws AppError `unsupported_format` for what is neither or cannot be applied as it was trained, `invalid_value` when it is of another base or
 * holds numbers that are not finite.
 */
export function readAdapter(dir: string, base: ModelShape): ReadAdapter {
  const configNames = [...new Set(STORED_METHODS.map(({ form }) => form.configName))];
  const present = STORED_METHODS.filter(({ form }) => existsSync(join(dir, form.configName)));
  // A form of its own says more than the exactly equal one beside it.
  const [first] = present.sort((a, b) => Number(a.form.peftType !== undefined) - Number(b.form.peftType !== undefined));
  if (first === undefined) {
    throw new AppError('not_found', `${dir} holds no adapter: neither ${configNames.join(' nor ')}.`, {
      hint: "Name the folder of an adapter in PEFT's layout or in a method's own, e.g. OUT/adapter of `local train`.",
    });
  }
  const file = join(dir, first.form.configName);
  const json = readJson(file);
  const module = storedMethod(first.form.configName, json);
  if (module === undefined) throw unknownType(file, json);
  const { own, whole } = partTensors(dir, module, json, base);
  const { method, paths, variables } = module.read({ dir, file, json, tensors: own, base });
  return { adapter: { method, paths, dropout: 0 }, variables: new Map([...variables, ...whole()]) };
}

type Parts = Record<'own' | 'whole', Map<string, HostTensor>>;

/** The tensors of the adapter and, by the base's names, those of modules that were trained whole; the file is read when the first is asked for. */
function partTensors(dir: string, { form }: StoredMethod, json: Json, base: ModelShape) {
  let parts: Parts | undefined;
  const read = (): Parts => {
    parts ??= readParts(dir, form, json, base);
    return parts;
  };
  return { own: () => read().own, whole: () => read().whole };
}

function readParts(dir: string, form: StoredMethod['form'], json: Json, base: ModelShape): Parts {
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

function unknownType(file: string, { peft_type: type }: Json): AppError {
  const types = new Set(STORED_METHODS.flatMap(({ form }) => form.peftType ?? []));
  return unsupported(file, `peft_type is ${JSON.stringify(type)}: only ${[...types].join(', ')} are read`);
}

function tensorsOf(dir: string, name: string): Map<string, HostTensor> {
  const file = join(dir, name);
  if (!existsSync(file)) {
    throw new AppError('not_found', `${dir} holds no ${name}.`, {
      hint: 'Save the adapter as safetensors (PEFT: save_pretrained does), or copy the whole folder.',
    });
  }
  try {
    const found = new Map<string, HostTensor>();
    for (const [key, { shape, data }] of readSafetensors(file).tensors) {
      if (!(data instanceof Float32Array)) throw unsupported(file, `${key} is not of a floating type`);
      const at = data.findIndex((value) => !Number.isFinite(value));
      if (at >= 0) throw notFinite(file, `${key} [${shape.join(', ')}] has ${data[at]} as element ${at}`);
      found.set(key, { shape, data });
    }
    return found;
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
