import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AttemptEvent, MethodConfig, StopReason, TrainSpec } from '@moraine/contract';
import { linearShapes, parseModelConfig } from '@moraine/contract/plan';
import { writeSafetensors } from '@moraine/engine';
import { initialWeights } from '@moraine/lm';
import { runSft } from '../src/index.js';

const SPECIALS = ['<|end|>', '<|user|>', '<|assistant|>', '<|pad|>'];

const CONFIG = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  vocab_size: 260,
  hidden_size: 32,
  intermediate_size: 44,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 64,
  rms_norm_eps: 1e-5,
  hidden_act: 'silu',
  tie_word_embeddings: true,
  eos_token_id: 0,
};
export const tinyTargets = linearShapes(parseModelConfig(CONFIG)).map(({ name }) => name);

/** The 256 letters that byte-level tokenizers write bytes with. */
function byteLetters(): string[] {
  const kept = (byte: number) => (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(kept(byte) ? byte : next++));
}

/** A tokenizer of 260 tokens, one a byte. */
export function writeTinyTokenizer(dir: string): void {
  const vocab = Object.fromEntries([...SPECIALS, ...byteLetters()].map((letter, id) => [letter, id]));
  const added_tokens = SPECIALS.map((content, id) => ({
    id,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  }));
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
  writeFileSync(
    join(dir, 'tokenizer.json'),
    JSON.stringify({
      version: '1.0',
      added_tokens,
      normalizer: null,
      pre_tokenizer: byteLevel,
      post_processor: null,
      decoder: byteLevel,
      model: { type: 'BPE', vocab, merges: [] },
    }),
  );
  writeFileSync(join(dir, 'tokenizer_config.json'), JSON.stringify({ eos_token: '<|end|>', pad_token: '<|pad|>' }));
}

/** A Hugging Face folder with random weights and one token a byte. */
export function writeTinyBase(): string {
  const dir = mkdtempSync(join(tmpdir(), 'moraine-tiny-'));
  writeTinyTokenizer(dir);
  writeFileSync(join(dir, 'config.json'), JSON.stringify(CONFIG));
  writeSafetensors(join(dir, 'model.safetensors'), initialWeights(parseModelConfig(CONFIG), { seed: 3, std: 0.1 }));
  return dir;
}

/** `count` sums of two digits, as prompt and completion. */
export function writeSums(dir: string, name: string, count: number): string {
  const path = join(dir, name);
  const rows = Array.from({ length: count }, (_, i) => ({
    prompt: `${i % 7}+${i % 5}=`,
    completion: `${(i % 7) + (i % 5)}`,
  }));
  writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  return path;
}

export const METHODS: Record<string, MethodConfig> = {
  lora: { type: 'lora', rank: 4, alpha: 8, use_rslora: false, dropout: 0.1, target_modules: tinyTargets },
  'mora type 1': { type: 'mora', rank: 4, mora_type: 1, dropout: 0.1, target_modules: tinyTargets },
  'mora type 6': { type: 'mora', rank: 4, mora_type: 6, dropout: 0.1, target_modules: tinyTargets },
  full: { type: 'none' },
};

export function specOf(
  baseDir: string,
  trainingFile: string,
  adapter: MethodConfig,
  patch: Partial<TrainSpec> = {},
): TrainSpec {
  const outDir = mkdtempSync(join(tmpdir(), 'moraine-out-'));
  mkdirSync(outDir, { recursive: true });
  return {
    kind: 'train',
    taskId: 'ftjob-test',
    attempt: 1,
    baseDir,
    baseName: 'tiny',
    trainingFile,
    validationFile: null,
    evaluationFiles: [],
    outDir,
    resumeFrom: null,
    keepsMerged: true,
    threads: 1,
    config: {
      base: 'tiny',
      adapter,
      optimizer: {
        type: 'adamw',
        learning_rate: 5e-3,
        betas: [0.9, 0.999],
        eps: 1e-8,
        weight_decay: 0.01,
        max_grad_norm: 1,
      },
      schedule: { type: 'cosine', warmup_steps: 2, min_ratio: 0 },
      n_epochs: 3,
      steps: 12,
      batch_size: 6,
      accumulation: 2,
      max_seq_len: 32,
      over_length: 'truncate',
      packing: true,
      mode: 'plain',
      evaluation: { every_steps: 4, files: [], samples: 2 },
      checkpoint: { every_steps: 5, every_seconds: 0, keep_last: 3 },
      seed: 11,
      trainable_parameters: 0,
    },
    ...patch,
  };
}

/** Runs to the end and answers everything that was emitted. */
export async function runOf(
  spec: TrainSpec,
  stopAfter = Number.POSITIVE_INFINITY,
  reason: StopReason = 'drain',
): Promise<AttemptEvent[]> {
  const events: AttemptEvent[] = [];
  await runSft(spec, (event) => events.push(event), {
    stopRequested: () => (events.filter(({ type }) => type === 'metrics').length >= stopAfter ? reason : null),
  });
  return events;
}

export function ofType<T extends AttemptEvent['type']>(
  events: readonly AttemptEvent[],
  type: T,
): Extract<AttemptEvent, { type: T }>[] {
  return events.filter((event): event is Extract<AttemptEvent, { type: T }> => event.type === type);
}

export const lossesOf = (events: readonly AttemptEvent[]): number[] =>
  ofType(events, 'metrics').flatMap(({ values }) => values.train_loss ?? []);
