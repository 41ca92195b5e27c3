import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { AppError } from '@moraine/contract';
import type { ModelShape } from '@moraine/contract/plan';
import { EngineError, readSafetensors } from '@moraine/engine';
import { type Adapter, type HostTensor, STORED_METHODS, storedMethod, unsupported } from '@moraine/lm';

/** An adapter read from a folder: what it is, and its variables `<path>.<role>`. */
export interface ReadAdapter {
  adapter: Adapter;
  variables: Map<string, HostTensor>;
}

type Json = Record<string, unknown>;

/**
 * Reads an adapter for a base, in the form of any method: its own, or PEFT's layout, whatever tool wrote it.
 * @throws AppError `unsupported_format` for what is neither (DoRA, trained biases, embeddings …), `invalid_value` when it is of another base or
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
  const tensors = () => tensorsOf(dir, module.form.weightsName);
  const { method, paths, variables } = module.read({ dir, file, json, tensors, base });
  return { adapter: { method, paths, dropout: 0 }, variables };
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
