import { copyFileSync, existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AppError, type JobSpec } from '@moraine/contract';
import { type TensorDtype, writeSafetensors } from '@moraine/engine';
import { type Adapter, type AdapterFiles, createMerge, type HostTensor, moraAdapter, peftAdapter } from '@moraine/lm';
import { type Base, readWeight } from './base.js';

export interface Trained {
  spec: JobSpec;
  base: Base;
  adapter: Adapter | null;
  /** The trained variables by name. */
  variables: ReadonlyMap<string, HostTensor>;
}

export interface Export {
  kind: 'adapter' | 'peft' | 'merged';
  dir: string;
}

/** Files of a base that belong to a whole model besides its weights. */
const COMPANIONS = [
  'config.json',
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'chat_template.jinja',
  'vocab.json',
  'merges.txt',
  'tokenizer.model',
];

/**
 * Writes what a run produced, each as a finished folder below `parent`: the adapter in its own form, the exactly equal LoRA in PEFT's
 * form where there is one, and the merged model, which after full fine-tuning is the only one.
 */
export function writeExports(parent: string, trained: Trained): Export[] {
  mkdirSync(parent, { recursive: true });
  const { base, spec, adapter, variables } = trained;
  const exports: Export[] = [];
  if (adapter !== null) {
    const peft = peftFiles(() => peftAdapter(base.config, adapter, variables, spec.baseName));
    if (peft)
      exports.push(
        writeFolder(parent, 'peft', (dir) => writeAdapter(dir, 'adapter_model', 'adapter_config.json', peft)),
      );
    const isLora = adapter.method.shape.type === 'lora';
    if (isLora && peft) {
      exports.push(
        writeFolder(parent, 'adapter', (dir) => writeAdapter(dir, 'adapter_model', 'adapter_config.json', peft)),
      );
    } else {
      const mora = moraAdapter(adapter, variables, spec.baseName);
      exports.push(writeFolder(parent, 'adapter', (dir) => writeAdapter(dir, 'mora_model', 'mora_config.json', mora)));
    }
  }
  const merge = adapter === null ? null : createMerge(adapter, variables);
  const finalWeight = (name: string): HostTensor =>
    merge?.(name, readWeight(base, name)) ?? variables.get(name) ?? readWeight(base, name);
  exports.push(writeFolder(parent, 'merged', (dir) => writeModel(dir, spec.baseDir, base, finalWeight)));
  return exports;
}

/** Null for a method that no LoRA equals exactly. */
function peftFiles(make: () => AdapterFiles): AdapterFiles | null {
  try {
    return make();
  } catch (error) {
    if (error instanceof AppError && error.code === 'unsupported_format') return null;
    throw error;
  }
}

/** The folder appears whole or not at all. */
function writeFolder(parent: string, kind: Export['kind'], fill: (dir: string) => void): Export {
  const temporary = join(parent, `.tmp-${kind}`);
  const dir = join(parent, kind);
  rmSync(temporary, { recursive: true, force: true });
  mkdirSync(temporary);
  fill(temporary);
  renameSync(temporary, dir);
  return { kind, dir };
}

function writeAdapter(dir: string, stem: string, configName: string, { tensors, config }: AdapterFiles): void {
  writeSafetensors(join(dir, `${stem}.safetensors`), tensors, { format: 'pt' });
  writeFileSync(join(dir, configName), `${JSON.stringify(config, null, 2)}\n`);
}

/** A Hugging Face folder of the base with other weights, each in the type that the base stores it in. One weight is held at a time. */
function writeModel(dir: string, baseDir: string, base: Base, weightOf: (name: string) => HostTensor): void {
  const tensors = new Map(
    [...base.weights].map(([name, { shape, dtype }]) => [
      name,
      { shape, dtype: writtenAs(dtype), make: () => weightOf(name).data },
    ]),
  );
  writeSafetensors(join(dir, 'model.safetensors'), tensors, { format: 'pt' });
  for (const name of COMPANIONS)
    if (existsSync(join(baseDir, name))) copyFileSync(join(baseDir, name), join(dir, name));
}

/** Trained in float32, so a base in doubles is written in float32. */
const writtenAs = (dtype: TensorDtype): TensorDtype => (dtype === 'F64' ? 'F32' : dtype);
