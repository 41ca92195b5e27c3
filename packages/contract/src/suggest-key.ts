import { z } from 'zod';
import { editDistance } from './suggest.js';

/**
 * What other tools call a key of ours: transformers, TRL, PEFT, axolotl, LLaMA-Factory, Unsloth, torchtune. Names that differ only in writing,
 * or in a prefix of PREFIXES, need no entry. A name of two keys is meant for both.
 */
export const ALIASES: Readonly<Record<string, readonly string[]>> = {
  learning_rate: ['lr', 'peak_lr', 'max_lr', 'base_lr'],
  learning_rate_multiplier: ['lr_multiplier'],
  n_epochs: ['epochs', 'epoch', 'num_epochs', 'num_train_epochs', 'nr_epochs', 'max_epochs'],
  max_steps: ['steps', 'n_steps', 'num_steps', 'max_train_steps', 'num_train_steps', 'iterations', 'max_iters'],
  batch_size: ['bs', 'micro_batch_size', 'per_device_train_batch_size', 'train_batch_size', 'global_batch_size'],
  accumulation: ['grad_accum', 'gradient_accumulation', 'gradient_accumulation_steps', 'accumulation_steps'],
  max_seq_len: [
    'max_length',
    'max_seq_length',
    'model_max_length',
    'seq_len',
    'seq_length',
    'sequence_len',
    'sequence_length',
    'cutoff_len',
    'context_length',
    'block_length',
  ],
  adapter: ['lora', 'lora_config', 'peft_config'],
  rank: ['r', 'dim'],
  alpha: ['scale', 'scaling'],
  use_rslora: ['rslora'],
  lora_plus_ratio: ['loraplus_lr_ratio', 'loraplus_ratio'],
  target_modules: ['target', 'targets', 'modules', 'attn_modules', 'target_linear', 'target_layers'],
  modules_to_save: ['additional_target'],
  init: ['init_lora_weights'],
  max_grad_norm: ['grad_clip', 'gradient_clip', 'gradient_clipping', 'clip_grad_norm', 'clip'],
  weight_decay: ['wd', 'decay'],
  betas: ['adam_betas', 'adam_beta1', 'adam_beta2', 'beta1', 'beta2'],
  eps: ['epsilon', 'adam_epsilon'],
  warmup_steps: ['num_warmup_steps', 'lr_warmup_steps', 'warmup_iters', 'warmup'],
  warmup_ratio: ['warmup', 'warmup_fraction', 'warmup_proportion'],
  min_ratio: [
    'min_lr',
    'lr_min',
    'min_lr_ratio',
    'min_lr_rate',
    'cosine_min_lr_ratio',
    'eta_min',
    'lr_end',
    'final_lr',
  ],
  'schedule.type': ['lr_scheduler', 'lr_scheduler_type', 'scheduler', 'scheduler_type', 'lr_schedule'],
  'optimizer.type': ['optim', 'optimiser', 'optimizer_name'],
  'adapter.type': [
    'peft',
    'peft_type',
    'peft_method',
    'method_type',
    'finetuning_type',
    'use_peft',
    'use_lora',
    'use_dora',
    'dora',
    'use_mora',
    'pissa',
    'pissa_init',
    'init_lora_weights',
  ],
  'evaluation.every_steps': ['eval_steps', 'eval_every', 'eval_interval', 'eval_every_n_steps', 'evals_per_epoch'],
  'evaluation.files': [
    'test_file',
    'test_files',
    'test_data',
    'test_dataset',
    'test_datasets',
    'test_set',
    'eval_files',
  ],
  'evaluation.samples': ['num_eval_samples'],
  'checkpoint.every_steps': [
    'save_steps',
    'save_every',
    'save_every_n_steps',
    'save_interval',
    'saves_per_epoch',
    'checkpoint_steps',
    'checkpoint_every',
    'checkpoint_interval',
  ],
  keep_last: ['save_total_limit', 'keep'],
  keep_best: ['load_best_model_at_end', 'save_best'],
  'early_stopping.patience': ['early_stopping_patience', 'early_stop_patience'],
  'early_stopping.min_delta': ['early_stopping_threshold', 'min_improvement'],
  model: ['base_model', 'model_name', 'model_name_or_path', 'model_id', 'base', 'pretrained_model_name_or_path'],
  training_file: [
    'train_file',
    'train_files',
    'train_data',
    'train_dataset',
    'training_data',
    'dataset',
    'datasets',
    'dataset_name',
    'dataset_path',
    'data',
    'data_files',
    'data_path',
    'data_dir',
    'file',
  ],
  data_mix: ['datasets', 'data_files', 'dataset_mixer', 'mix'],
  validation_file: [
    'valid_file',
    'val_file',
    'val_data',
    'val_dataset',
    'eval_file',
    'eval_data',
    'eval_dataset',
    'validation_data',
    'validation_dataset',
  ],
  validation_split: ['val_set_size', 'val_size', 'test_size', 'eval_split', 'val_split', 'validation_ratio'],
  suffix: ['name', 'run_name', 'output_name', 'model_suffix', 'display_name', 'experiment_name'],
  seed: ['random_seed', 'random_state', 'data_seed', 'manual_seed'],
  metadata: ['tags', 'labels'],
  packing: ['sample_packing', 'pack', 'pack_sequences'],
  mode: ['precision', 'dtype', 'torch_dtype', 'bf16'],
};

/** What other tools write before the name of a key: what it is of, as in `lora_alpha` and `adam_weight_decay`. */
const PREFIXES = /^(lora|dora|mora|peft|adapter|adamw?|optim|optimizer|train|training)_/;

/** The schemas right inside one: what optional, nullable, default, pipes and unions are around. */
export function partsOf(schema: unknown): unknown[] {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable || schema instanceof z.ZodDefault)
    return partsOf(schema.unwrap());
  if (schema instanceof z.ZodPipe) return [...partsOf(schema.in), ...partsOf(schema.out)];
  if (schema instanceof z.ZodUnion) return schema.options.flatMap(partsOf);
  return [schema];
}

type Path = readonly string[];

/** Every key of a schema, those of inner objects included, as paths. */
export function keysOf(schema: unknown, above: Path = []): Path[] {
  return partsOf(schema).flatMap((part) => {
    if (!(part instanceof z.ZodObject)) return [];
    return Object.entries(part.shape as Record<string, unknown>).flatMap(([key, inner]) => {
      const path = [...above, key];
      return [path, ...keysOf(inner, path)];
    });
  });
}

/** `learningRate`, `learning-rate` and `Learning_Rate` as one word. */
const plain = (name: string): string =>
  name
    .replaceAll(/([a-z0-9])([A-Z])/g, '$1_$2')
    .replaceAll(/[-.\s]+/g, '_')
    .toLowerCase();

const isAlias = (typed: string, path: Path): boolean =>
  [path.at(-1) ?? '', path.slice(-2).join('.')].some((name) => ALIASES[name]?.includes(typed));

/** How far a path is from what was typed at `here`; infinite when it cannot be meant. */
function distanceTo(path: Path, typed: string, here: string): number {
  const name = path.at(-1) ?? '';
  const isHere = path.slice(0, -1).join('.') === here;
  // A name deep inside, such as `adapter.restart.warmup`, is less likely than what begins so here.
  if (name === typed) return isHere || path.length <= 2 ? 0 : 2.5;
  if (plain(path.join('_')) === typed) return 0;
  if (isAlias(typed, path)) return isHere ? 0.5 : 1;
  const bare = typed.replace(PREFIXES, '');
  if (isAlias(bare, path)) return isHere ? 1.5 : 1.6;
  const edits = editDistance(typed, name);
  if (isHere && edits <= Math.max(1, Math.floor(name.length / 3))) return 1 + edits / 100;
  // `adam_weight_decay`; and `cooldown` for what begins with it.
  if (bare === name || name.startsWith(`${typed}_`)) return isHere ? 2 : 3;
  if (edits <= Math.max(1, Math.floor(name.length / 4))) return 4 + edits / 100;
  return isHere && edits <= 2 ? 5 + edits / 100 : Number.POSITIVE_INFINITY;
}

/** No key that anybody means is longer. */
const KEY_LETTERS_MAX = 256;
/** At most so many places are named. */
const NAMED_MOST = 4;

/**
 * The keys of a schema that were probably meant by an unknown one at `here` (a dotted path, empty at the top): the same name at another
 * place, what other tools call a key, or a name that is nearly the same. Of equally near ones those that lie least deep.
 */
export function meantKeys(schema: unknown, here: string, key: string): string[] {
  if (key.length > KEY_LETTERS_MAX) return [];
  const typed = plain(key);
  const rated = keysOf(schema).map((path) => ({ path, distance: distanceTo(path, typed, here) }));
  const least = Math.min(...rated.map(({ distance }) => distance));
  if (least === Number.POSITIVE_INFINITY) return [];
  const nearest = rated.filter(({ distance }) => distance === least).map(({ path }) => path);
  const depth = Math.min(...nearest.map(({ length }) => length));
  return [...new Set(nearest.filter(({ length }) => length === depth).map((path) => path.join('.')))].slice(
    0,
    NAMED_MOST,
  );
}
