import { describe, expect, test } from 'vitest';
import { CreateRunRequest, ROUTES } from '../src/index.js';
import { ALIASES, keysOf, meantKeys } from '../src/suggest-key.js';

const meant = (key: string, here = ''): string[] => meantKeys(CreateRunRequest, here, key);
const paths = keysOf(CreateRunRequest);

describe('an unknown key is meant for', () => {
  test.each([
    // The same name at another place.
    ['learning_rate', ['optimizer.learning_rate']],
    ['n_epochs', ['hyperparameters.n_epochs']],
    ['learning_rate_multiplier', ['hyperparameters.learning_rate_multiplier']],
    ['rank', ['adapter.rank']],
    ['alpha', ['adapter.alpha']],
    ['target_modules', ['adapter.target_modules']],
    ['weight_decay', ['optimizer.weight_decay']],
    ['warmup_ratio', ['schedule.warmup_ratio']],
    ['every_steps', ['evaluation.every_steps', 'checkpoint.every_steps']],
    ['keep_last', ['checkpoint.keep_last']],
    // In another writing.
    ['learningRate', ['optimizer.learning_rate']],
    ['Max-Steps', ['max_steps']],
    ['optimizer_learning_rate', ['optimizer.learning_rate']],
    ['adapter.rank', ['adapter.rank']],
    // As other tools call it.
    ['lr', ['optimizer.learning_rate']],
    ['epochs', ['hyperparameters.n_epochs']],
    ['num_train_epochs', ['hyperparameters.n_epochs']],
    ['r', ['adapter.rank']],
    ['lora_r', ['adapter.rank']],
    ['lora_rank', ['adapter.rank']],
    ['lora_alpha', ['adapter.alpha']],
    ['lora_dropout', ['adapter.dropout']],
    ['per_device_train_batch_size', ['batch_size']],
    ['gradient_accumulation_steps', ['accumulation']],
    ['max_length', ['max_seq_len']],
    ['lr_scheduler_type', ['schedule.type']],
    ['optim', ['optimizer.type']],
    ['save_steps', ['checkpoint.every_steps']],
    ['dataset', ['training_file']],
    // Misspelt, here or elsewhere.
    ['max_step', ['max_steps']],
    ['adaptor', ['adapter']],
    ['trainig_file', ['training_file']],
    ['learning_rat', ['optimizer.learning_rate']],
    ['adam_weight_decay', ['optimizer.weight_decay']],
    ['xyzzy', []],
    // A name of two keys, or of one that lies elsewhere than the name says.
    ['warmup', ['schedule.warmup_steps', 'schedule.warmup_ratio']],
    ['datasets', ['training_file', 'data_mix']],
    ['init_lora_weights', ['adapter.type', 'adapter.init']],
    ['checkpoint_every', ['checkpoint.every_steps']],
    ['min_lr', ['schedule.min_ratio']],
    ['cosine_min_lr_ratio', ['schedule.min_ratio']],
    ['test_file', ['evaluation.files']],
    ['test_datasets', ['evaluation.files']],
    ['eval_dataset', ['validation_file']],
    ['data_files', ['training_file', 'data_mix']],
    ['name', ['suffix']],
    ['run_name', ['suffix']],
    ['tags', ['metadata']],
    ['random_state', ['seed']],
    ['use_dora', ['adapter.type']],
    ['pissa_init', ['adapter.type']],
    ['rslora', ['adapter.use_rslora']],
    ['lora_config', ['adapter']],
    ['lora_target_modules', ['adapter.target_modules']],
    ['lora_target_linear', ['adapter.target_modules']],
    ['lora_modules_to_save', ['adapter.modules_to_save']],
    ['loraplus_lr_ratio', ['adapter.lora_plus_ratio']],
    ['base_model', ['model']],
    ['val_set_size', ['validation_split']],
    ['eval_steps', ['evaluation.every_steps']],
    ['evals_per_epoch', ['evaluation.every_steps']],
    ['sample_packing', ['packing']],
    ['bf16', ['mode']],
    ['load_best_model_at_end', ['checkpoint.keep_best']],
  ])('%s → %j', (key, places) => {
    expect(meant(key)).toEqual(places);
  });

  test.each(
    [
      ...['logging_steps', 'neftune_noise_alpha', 'task_type', 'loss_type', 'ref_model', 'metric_for_best_model'],
      ...['quantization_bit', 'load_in_4bit', 'eval_batch_size', 'resume_from_checkpoint', 'shuffle', 'output_dir'],
      ...['report_to', 'gradient_checkpointing', 'train_on_inputs', 'rank_pattern', 'hidden_dropout', 'deepspeed'],
    ].map((key) => [key]),
  )('%s, which other tools have and we do not → nothing', (key) => {
    expect(meant(key)).toEqual([]);
  });

  test.each([
    ['adapter', 'r', ['adapter.rank']],
    ['schedule', 'min_lr', ['schedule.min_ratio']],
    ['checkpoint', 'every', ['checkpoint.every_steps', 'checkpoint.every_seconds']],
    ['adapter', 'learning_rate', ['optimizer.learning_rate']],
    ['optimizer', 'rank', ['adapter.rank']],
    ['optimizer', 'lr', ['optimizer.learning_rate']],
    ['schedule', 'warmup', ['schedule.warmup_steps', 'schedule.warmup_ratio']],
    ['hyperparameters', 'epochs', ['hyperparameters.n_epochs']],
    ['hyperparameters', 'learning_rate', ['optimizer.learning_rate']],
    ['method.supervised.hyperparameters', 'epochs', ['method.supervised.hyperparameters.n_epochs']],
    ['evaluation', 'eval_steps', ['evaluation.every_steps']],
    ['checkpoint', 'max_steps', ['max_steps']],
  ])('in %s: %s → %j', (here, key, places) => {
    expect(meant(key, here)).toEqual(places);
  });
});

/** A name that others give to a key of ours is meant for that, though one deep inside has it too. */
const aliases = new Set(Object.values(ALIASES).flat());

test('every key of a request, written at the top, finds itself, whatever is added to the request later', () => {
  expect(paths.length).toBeGreaterThan(50);
  for (const path of paths) {
    const name = path.at(-1) ?? '';
    if (aliases.has(name)) continue;
    const found = meant(name);
    const least = Math.min(...paths.filter((one) => one.at(-1) === name).map(({ length }) => length));
    expect(found.length, name).toBeGreaterThan(0);
    for (const place of found) expect([place.split('.').at(-1), place.split('.').length]).toEqual([name, least]);
  }
});

test('each alias stands for a key that there is, and hides none', () => {
  const names = new Set(paths.flatMap((path) => [path.at(-1) ?? '', path.slice(-2).join('.')]));
  for (const name of Object.keys(ALIASES)) expect(names, name).toContain(name);
  const shallow = new Set(paths.filter(({ length }) => length <= 2).map((path) => path.at(-1)));
  for (const alias of aliases) expect(shallow, alias).not.toContain(alias);
});

test('the keys of a query are found likewise', () => {
  expect(meantKeys(ROUTES.listFiles.query, '', 'purpse')).toEqual(['purpose']);
  expect(meantKeys(ROUTES.listRuns.query, '', 'metdata')).toEqual(['metadata']);
});
