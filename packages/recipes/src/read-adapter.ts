import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { AppError } from '@moraine/contract';
import { type LinearShape, type LlamaConfig, linearShapes, moraSide } from '@moraine/contract/plan';
import { EngineError, readSafetensors } from '@moraine/engine';
import { type Adapter, type HostTensor, lora, mora } from '@moraine/lm';

/** An adapter read from a folder: what it is, and its variables `<path>.<role>`. */
export interface ReadAdapter {
  adapter: Adapter;
  variables: Map<string, HostTensor>;
}

type Json = Record<string, unknown>;

/**
 * Reads an adapter for a base: LoRA in PEFT's layout, whoever wrote it, or MoRA as this project writes it.
 * @throws AppError `unsupported_format` for what is neither (DoRA, trained biases, embeddings …), `invalid_value` when it is of another base.
 */
export function readAdapter(dir: string, config: LlamaConfig): ReadAdapter {
  if (existsSync(join(dir, 'mora_config.json'))) return readMora(dir, config);
  if (existsSync(join(dir, 'adapter_config.json'))) return readPeft(dir, config);
  throw new AppError('not_found', `${dir} holds no adapter: neither adapter_config.json nor mora_config.json.`, {
    hint: "Name the folder of a LoRA in PEFT's layout or of a MoRA adapter, e.g. OUT/adapter of `local train`.",
  });
}

/** What a PEFT configuration may ask for that changes the result and is not done here. */
const REFUSED: readonly (readonly [key: string, isAsked: (value: unknown) => boolean, what: string])[] = [
  ['peft_type', (value) => value !== 'LORA', 'only LORA is read'],
  ['use_dora', (value) => value === true, 'DoRA is not read yet'],
  ['bias', (value) => value !== undefined && value !== 'none', 'trained biases are not read'],
  ['lora_bias', (value) => value === true, 'trained biases are not read'],
  ['modules_to_save', (value) => Array.isArray(value) && value.length > 0, 'whole trained modules are not read'],
  ['fan_in_fan_out', (value) => value === true, 'transposed layers do not occur in Llama'],
  ['layer_replication', (value) => Array.isArray(value) && value.length > 0, 'repeated layers are not read'],
  ['use_qalora', (value) => value === true, 'QALoRA is not read'],
  ['alora_invocation_tokens', (value) => Array.isArray(value), 'an adapter that some tokens switch on is not read'],
  ['target_parameters', (value) => Array.isArray(value) && value.length > 0, 'only linear layers are read'],
  ['trainable_token_indices', (value) => value !== undefined && value !== null, 'trained tokens are not read'],
  [
    'init_lora_weights',
    (value) => typeof value === 'string' && /^(pissa|olora|corda|loftq)/.test(value),
    'it changed the base; save it as a plain LoRA first',
  ],
];

function readPeft(dir: string, config: LlamaConfig): ReadAdapter {
  const file = join(dir, 'adapter_config.json');
  const json = readJson(file);
  for (const [key, isAsked, what] of REFUSED) {
    if (isAsked(json[key])) throw unsupported(file, `${key} is ${JSON.stringify(json[key])}: ${what}`);
  }
  const variables = new Map<string, HostTensor>();
  for (const [stored, tensor] of tensorsOf(dir, 'adapter_model.safetensors')) {
    const [, path, role] = /^base_model\.model\.(.+)\.(lora_[AB])(?:\.default)?\.weight$/.exec(stored) ?? [];
    if (path === undefined || role === undefined)
      throw unsupported(dir, `it holds ${stored}, which is no part of LoRA`);
    variables.set(`${path}.${role}`, tensor);
  }
  const paths = layersOf(dir, config, variables);
  for (const shape of paths) {
    const a = part(dir, variables, `${shape.name}.lora_A`);
    const b = part(dir, variables, `${shape.name}.lora_B`);
    const rank = a.shape[0] ?? 0;
    checkShape(dir, `${shape.name}.lora_A`, a, [rank, shape.inDim]);
    checkShape(dir, `${shape.name}.lora_B`, b, [shape.outDim, rank]);
    const scale = scaleOf(file, json, shape.name, rank);
    // Ranks and scales may differ between layers: each layer's scale goes into its B, and the method's own is 1.
    if (scale !== 1)
      variables.set(`${shape.name}.lora_B`, { shape: b.shape, data: b.data.map((value) => value * scale) });
  }
  const rank = variables.get(`${paths[0]?.name}.lora_A`)?.shape[0] ?? 1;
  const method = lora({ rank, alpha: rank, useRslora: false });
  return { adapter: { method, paths: paths.map(({ name }) => name), dropout: 0 }, variables };
}

/** alpha / r of a layer, or alpha / sqrt(r); a pattern for the layer's name counts more than the common value, as in PEFT. */
function scaleOf(file: string, json: Json, path: string, rank: number): number {
  const own = (key: string): unknown => {
    const patterns = json[key];
    if (typeof patterns !== 'object' || patterns === null) return undefined;
    return Object.entries(patterns).find(([pattern]) => new RegExp(`(^|.*\\.)${pattern}$`).test(path))?.[1];
  };
  const said = own('rank_pattern') ?? json.r;
  if (said !== rank) throw unsupported(file, `the rank of ${path} is ${String(said)}, its matrices have ${rank}`);
  const alpha = own('alpha_pattern') ?? json.lora_alpha;
  if (typeof alpha !== 'number') throw unsupported(file, `lora_alpha is ${JSON.stringify(alpha)}, not a number`);
  return alpha / (json.use_rslora === true ? Math.sqrt(rank) : rank);
}

function readMora(dir: string, config: LlamaConfig): ReadAdapter {
  const file = join(dir, 'mora_config.json');
  const { format, format_version: version, rank, mora_type: type } = readJson(file);
  if (format !== 'moraine-mora' || version !== 1) {
    throw unsupported(file, `format ${String(format)} ${String(version)} is not moraine-mora 1`);
  }
  if (typeof rank !== 'number' || !Number.isInteger(rank) || (type !== 1 && type !== 6)) {
    throw unsupported(file, `rank ${String(rank)} and mora_type ${String(type)} are not a rank and 1 or 6`);
  }
  const variables = tensorsOf(dir, 'mora_model.safetensors');
  const paths = layersOf(dir, config, variables);
  for (const { name, inDim, outDim } of paths) {
    const side = moraSide(inDim, outDim, rank, type);
    checkShape(dir, `${name}.mora_M`, part(dir, variables, `${name}.mora_M`), [side, side]);
  }
  return { adapter: { method: mora({ rank, type }), paths: paths.map(({ name }) => name), dropout: 0 }, variables };
}

/** The layers that variables belong to, in the model's order. @throws AppError when one is not a linear layer of the base. */
function layersOf(dir: string, config: LlamaConfig, variables: ReadonlyMap<string, HostTensor>): LinearShape[] {
  const named = new Set([...variables.keys()].map((name) => name.slice(0, name.lastIndexOf('.'))));
  const shapes = linearShapes(config).filter(({ name }) => named.has(name));
  const known = new Set(shapes.map(({ name }) => name));
  const foreign = [...named].find((name) => !known.has(name));
  if (foreign !== undefined || shapes.length === 0) {
    throw new AppError('invalid_value', `${dir} adapts ${foreign ?? 'nothing'}, which the base does not have.`, {
      param: 'adapter',
      hint: 'Name the base that the adapter was trained on; only the linear layers of its blocks can be adapted.',
    });
  }
  return shapes;
}

function part(dir: string, variables: ReadonlyMap<string, HostTensor>, name: string): HostTensor {
  const tensor = variables.get(name);
  if (tensor === undefined) throw unsupported(dir, `${name} is missing`);
  return tensor;
}

function checkShape(dir: string, name: string, { shape }: HostTensor, wanted: number[]): void {
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
      found.set(key, { shape, data });
    }
    return found;
  } catch (cause) {
    if (!(cause instanceof EngineError)) throw cause;
    throw new AppError('unsupported_format', cause.message, { hint: cause.hint, cause });
  }
}

function readJson(file: string): Json {
  try {
    const value: unknown = JSON.parse(readFileSync(file, 'utf8'));
    if (typeof value === 'object' && value !== null) return value as Json;
  } catch (cause) {
    throw unsupported(file, `it is not JSON (${cause instanceof Error ? cause.message : String(cause)})`);
  }
  throw unsupported(file, 'it holds no JSON object');
}

const unsupported = (where: string, problem: string): AppError =>
  new AppError('unsupported_format', `${where}: ${problem}.`, {
    param: 'adapter',
    hint: 'Take a plain LoRA or a MoRA adapter, or merge it into its base and use that as --base.',
  });
