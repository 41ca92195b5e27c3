import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { CreateRunRequest, parse, type RunConfig } from '../src/index.js';
import { parseModelConfig, resolveConfig } from '../src/plan/index.js';

const folder = join(import.meta.dirname, '../../../configs');
const presets = (readdirSync(folder, { recursive: true }) as string[]).filter((name) => name.endsWith('.json')).sort();
const named = (start: string): string[] => presets.filter((name) => name.startsWith(start));
const family = { model_type: 'llama', architectures: ['LlamaForCausalLM'] };

/** Llama-2-7B, which both papers train, and the width that the scaled files are for. */
const LLAMA_7B = {
  ...family,
  vocab_size: 32_000,
  hidden_size: 4096,
  intermediate_size: 11_008,
  num_hidden_layers: 32,
  num_attention_heads: 32,
  max_position_embeddings: 4096,
};
const SMALL = {
  ...family,
  vocab_size: 1024,
  hidden_size: 128,
  intermediate_size: 344,
  num_hidden_layers: 4,
  num_attention_heads: 4,
  max_position_embeddings: 256,
};

const resolved = (name: string): RunConfig => {
  const preset = JSON.parse(readFileSync(join(folder, name), 'utf8')) as Record<string, unknown>;
  expect(Object.keys(preset).length).toBeGreaterThan(0);
  return resolveConfig({
    request: parse(CreateRunRequest, { ...preset, model: 'base', training_file: 'file-1' }),
    baseName: 'base',
    base: parseModelConfig(name.startsWith('papers/scaled/') ? SMALL : LLAMA_7B),
    rows: 200_000,
    seed: 1,
    templateDate: '2026-11-28',
  });
};

test('there are presets for a start, and the settings of both papers', () => {
  const atTheTop = presets.filter((name) => !name.includes('/'));
  expect(atTheTop).toEqual(['full.json', 'lora.json', 'mora-rotation.json', 'mora-sharing.json']);
  expect(named('papers/lora-learns-less/')).toHaveLength(22);
  for (const task of ['tulu-v2', 'metamath', 'continual-pretraining', 'uuid'])
    expect(named(`papers/mora/${task}`).length, task).toBeGreaterThanOrEqual(5);
  expect(named('papers/scaled/')).toHaveLength(13);
});

test.each(presets)('%s resolves to a run', (name) => {
  expect(resolved(name).steps).toBeGreaterThan(0);
});

// From the papers' tables (docs/methods.md): what they hold fixed over all tasks.
test.each(named('papers/lora-learns-less/'))('%s has decoupled LionW, and alpha twice the rank', (name) => {
  const { optimizer, adapter } = resolved(name);
  expect(optimizer).toMatchObject({ type: 'lion', betas: [0.9, 0.95], decay_with: 'schedule', max_grad_norm: 1 });
  if (adapter.type === 'lora') expect(adapter).toMatchObject({ alpha: 2 * adapter.rank, dropout: 0.05 });
});

test('full fine-tuning has its regularisers, each at the lower of two strengths', () => {
  expect(resolved('papers/lora-learns-less/code-ift-full-decay.json').optimizer.weight_decay).toBe(5e-5);
  expect(resolved('papers/lora-learns-less/code-ift-full-attention-dropout.json').attention_dropout).toBe(0.05);
});

test('the trapezoid of continual pre-training ends with a fifth of the run', () => {
  const { steps, schedule } = resolved('papers/lora-learns-less/code-cpt-full.json');
  expect(steps).toBe(Math.floor(20e9 / (192 * 4096)));
  expect(schedule).toMatchObject({ type: 'inverse_sqrt', warmup_steps: 1000, cooldown_steps: Math.floor(steps / 5) });
});

test.each(named('papers/mora/'))('%s has AdamW on all linear layers, sharing at rank 256', (name) => {
  const { optimizer, adapter } = resolved(name);
  expect(optimizer).toMatchObject({ type: 'adamw', weight_decay: 0 });
  if ('target_modules' in adapter) expect(adapter.target_modules).toHaveLength(7 * 32);
  if (adapter.type === 'mora' && adapter.rank === 256) expect(adapter.mora_type).toBe(1);
});
