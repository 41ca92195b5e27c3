import { z } from 'zod';
import { editDistance } from './suggest.js';

/** What other tools call a key of ours: transformers, PEFT, axolotl, LLaMA-Factory, torchtune. Names that differ only in writing need no entry. */
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
    'seq_len',
    'seq_length',
    'sequence_len',
    'cutoff_len',
    'context_length',
  ],
  rank: ['r', 'dim'],
  alpha: ['scale', 'scaling'],
  target_modules: ['target', 'targets', 'modules', 'attn_modules'],
  max_grad_norm: ['grad_clip', 'gradient_clip', 'gradient_clipping', 'clip_grad_norm', 'clip'],
  weight_decay: ['wd', 'decay'],
  betas: ['adam_betas', 'adam_beta1', 'adam_beta2', 'beta1', 'beta2'],
  eps: ['epsilon', 'adam_epsilon'],
  warmup_steps: ['num_warmup_steps', 'warmup_iters'],
  'schedule.type': ['lr_scheduler', 'lr_scheduler_type', 'scheduler', 'lr_schedule'],
  'optimizer.type': ['optim', 'optimiser'],
  'adapter.type': ['peft', 'peft_type', 'method_type', 'adapter_type', 'finetuning_type'],
  'evaluation.every_steps': ['eval_steps', 'eval_every', 'eval_interval'],
  'checkpoint.every_steps': ['save_steps', 'save_every', 'checkpoint_steps', 'save_interval'],
  keep_last: ['save_total_limit', 'keep'],
  keep_best: ['load_best_model_at_end', 'save_best'],
  'early_stopping.patience': ['early_stopping_patience', 'early_stop_patience'],
  'early_stopping.min_delta': ['early_stopping_threshold', 'min_improvement'],
  model: ['base_model', 'model_name', 'model_name_or_path', 'base'],
  training_file: ['train_file', 'dataset', 'data', 'train_data', 'file'],
  validation_file: ['valid_file', 'val_file', 'eval_file', 'validation_data'],
  validation_split: ['val_set_size', 'val_size', 'test_size', 'eval_split', 'validation_ratio'],
  packing: ['sample_packing', 'pack'],
  mode: ['precision', 'dtype', 'bf16'],
};

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
  // A method's name in front, as other tools write their keys.
  if (isAlias(typed.replace(/^[a-z]+_/, ''), path)) return isHere ? 1.5 : 1.6;
  const edits = editDistance(typed, name);
  if (isHere && edits <= Math.max(1, Math.floor(name.length / 3))) return 1 + edits / 100;
  // `adam_weight_decay`, a method's name before `rank`; and `warmup` for what begins with it.
  if (typed.endsWith(`_${name}`) || name.startsWith(`${typed}_`)) return isHere ? 2 : 3;
  if (edits <= Math.max(1, Math.floor(name.length / 4))) return 4 + edits / 100;
  return isHere && edits <= Math.max(2, Math.floor(name.length / 2)) ? 5 + edits / 100 : Number.POSITIVE_INFINITY;
}

/** At most so many places are named. */
const NAMED_MOST = 4;

/**
 * The keys of a schema that were probably meant by an unknown one at `here` (a dotted path, empty at the top): the same name at another
 * place, what other tools call a key, or a name that is nearly the same. Of equally near ones those that lie least deep.
 */
export function meantKeys(schema: unknown, here: string, key: string): string[] {
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
