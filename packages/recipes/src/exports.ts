import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TrainSpec } from '@moraine/contract';
import { makeFolder } from '@moraine/contract/make-folder';
import { type TensorData, type TensorDtype, writeSafetensors } from '@moraine/engine';
import {
  type Adapter,
  type AdapterFiles,
  createMerge,
  exportAdapter,
  type HostTensor,
  type Trainer,
} from '@moraine/lm';
import { type Base, readWeight } from './base.js';
import { lazyTensors } from './lazy-tensors.js';

export interface Trained {
  spec: TrainSpec;
  base: Base;
  adapter: Adapter | null;
  trainer: Pick<Trainer, 'stateShapes' | 'variables'>;
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
  makeFolder(parent);
  const { base, spec, adapter, trainer } = trained;
  if (adapter === null) {
    const lazy = lazyTensors(trainer.stateShapes.trainable, trainer.variables);
    const weightOf = (name: string) => lazy.get(name)?.make() ?? readWeight(base, name).data;
    return [writeFolder(parent, 'merged', (dir) => writeModel(dir, spec.baseDir, base, weightOf))];
  }
  const variables = trainer.variables();
  const merge = createMerge(adapter, variables);
  const weightOf = (name: string) => merge(name, readWeight(base, name)).data;
  return [
    ...writeAdapters(parent, trained, adapter, variables),
    writeFolder(parent, 'merged', (dir) => writeModel(dir, spec.baseDir, base, weightOf)),
  ];
}

function writeAdapters(
  parent: string,
  { base, spec }: Trained,
  adapter: Adapter,
  variables: ReadonlyMap<string, HostTensor>,
): Export[] {
  const { native, peft } = exportAdapter(base.config, adapter, variables, spec.baseName);
  const write = (kind: Export['kind'], files: AdapterFiles) =>
    writeFolder(parent, kind, (dir) => writeAdapter(dir, files));
  return [...(peft === null ? [] : [write('peft', peft)]), write('adapter', native)];
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

function writeAdapter(dir: string, { configName, weightsName, tensors, config }: AdapterFiles): void {
  writeSafetensors(join(dir, weightsName), tensors, { format: 'pt' });
  writeFileSync(join(dir, configName), `${JSON.stringify(config, null, 2)}\n`);
}

/** A Hugging Face folder of the base with other weights, each in the type that the base stores it in. One weight is held at a time. */
function writeModel(dir: string, baseDir: string, base: Base, weightOf: (name: string) => TensorData): void {
  const tensors = new Map(
    [...base.weights].map(([name, { shape, dtype }]) => [
      name,
      { shape, dtype: writtenAs(dtype), make: () => weightOf(name) },
    ]),
  );
  writeSafetensors(join(dir, 'model.safetensors'), tensors, { format: 'pt' });
  for (const name of COMPANIONS)
    if (existsSync(join(baseDir, name))) copyFileSync(join(baseDir, name), join(dir, name));
  sayUntied(join(dir, 'config.json'), base);
}

/** Corrects a config.json that ties a head which differs from the embedding, so that no reader drops the head. */
function sayUntied(file: string, { config }: Base): void {
  const json = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
  if (config.tieEmbeddings || json.tie_word_embeddings !== true) return;
  writeFileSync(file, `${JSON.stringify({ ...json, tie_word_embeddings: false }, null, 2)}\n`);
}

/** Trained in float32, so a base in doubles is written in float32. */
const writtenAs = (dtype: TensorDtype): TensorDtype => (dtype === 'F64' ? 'F32' : dtype);
