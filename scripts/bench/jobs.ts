import { copyFileSync, existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { loadTokenizer } from '@moraine/data';
import { type BenchShape, benchRows, writeRandomBase } from '@moraine/recipes';
import { writeInstructions } from './instructions.js';
import { ours, type Side, theirs } from './sides.js';

export interface JobOptions {
  /** Folder for bases and specifications. */
  work: string;
  /** Steps of a run; the first two are not measured. */
  steps: number;
  /** Rows instead of the generated ones, and whose tokenizer reads them. */
  dataFile: string | null;
  tokenizerDir: string;
}

/** Programs that take turns. */
export interface Job {
  key: string;
  sides: Side[];
}

const RATE = 1e-3;
const RANK = 8;
const WARM_UP = 2;
const SEED = 0;
/** Longest instruction row, tokens. */
const ROW_TOKENS_MAX = 512;
const REAL_BATCH = 16;

export const JOBS: Record<string, (options: JobOptions) => Promise<Job>> = {
  dense15: (options) => dense('dense15', '15m', 4, options),
  dense135: (options) => dense('dense135', '135m', 2, options),
  real,
  mora: (options) => mora(options),
  decode15: (options) => decode('decode15', '15m', 200, options),
  decode135: (options) => decode('decode135', '135m', 60, options),
};

/** Full rows of random tokens. */
async function dense(key: string, shape: BenchShape, batch: number, { work, steps }: JobOptions): Promise<Job> {
  const base = randomBase(work, shape);
  const bench = { base, batch, seq: 256, steps, lr: RATE, rank: RANK, seed: SEED };
  const found = await benchRows({ baseDir: base, dataFile: null, batch, seq: 256, seed: SEED });
  const spec = { base, ...shown(found, steps), ...COMMON };
  return {
    key,
    sides: [ours('Moraine', bench), theirs('PEFT', 'train_peft.py', join(work, `${key}.json`), spec)],
  };
}

const COMMON = { rank: RANK, learning_rate: RATE, max_grad_norm: 1, warm_up: WARM_UP };

/** Rows of every length with masked prompts, padded by the row and grouped by length. */
async function real({ work, steps, dataFile, tokenizerDir }: JobOptions): Promise<Job> {
  const base = randomBase(work, '15m');
  for (const name of ['tokenizer.json', 'tokenizer_config.json']) {
    const file = join(tokenizerDir, name);
    if (existsSync(file)) copyFileSync(file, join(base, name));
  }
  const data = dataFile ?? (await generatedRows(work, base));
  const bench = { base, data, batch: REAL_BATCH, seq: ROW_TOKENS_MAX, steps, lr: RATE, rank: RANK, seed: SEED };
  const found = await benchRows({
    baseDir: base,
    dataFile: data,
    batch: REAL_BATCH,
    seq: ROW_TOKENS_MAX,
    seed: SEED,
  });
  const rows = shown(found, steps);
  const grouped = { ...rows, steps: null, grouped: { count: steps, batch: REAL_BATCH } };
  const spec = (of: Record<string, unknown>): Record<string, unknown> => ({ base, ...of, ...COMMON });
  return {
    key: 'real',
    sides: [
      ours('Moraine', bench),
      theirs('PEFT', 'train_peft.py', join(work, 'padded.json'), spec(rows)),
      theirs('PEFT grouped', 'train_peft.py', join(work, 'grouped.json'), spec(grouped)),
    ],
  };
}

async function generatedRows(work: string, base: string): Promise<string> {
  const file = join(work, 'instructions.jsonl');
  const tokenizer = await loadTokenizer(base);
  writeInstructions(file, (text) => tokenizer.encode(text).length);
  return file;
}

async function mora({ work, steps }: JobOptions): Promise<Job> {
  const bench = { base: randomBase(work, '15m'), batch: 4, seq: 256, steps, rank: RANK, seed: SEED };
  const methods = { LoRA: 'lora', 'MoRA 1': 'mora-1', 'MoRA 6': 'mora-6' };
  return { key: 'mora', sides: Object.entries(methods).map(([name, method]) => ours(name, { ...bench, method })) };
}

async function decode(key: string, shape: BenchShape, tokens: number, { work }: JobOptions): Promise<Job> {
  const base = randomBase(work, shape);
  const { rows } = await benchRows({ baseDir: base, dataFile: null, batch: 1, seq: 8, seed: SEED });
  const spec = { base, prompt: rows[0]?.ids ?? [], new_tokens: tokens, repeats: 3 };
  return {
    key,
    sides: [
      ours('Moraine', { base, steps: 0, decode: tokens, seed: SEED }),
      theirs('transformers', 'generate_hf.py', join(work, `${key}.json`), spec),
    ],
  };
}

/** A folder of random weights, written once. */
function randomBase(work: string, shape: BenchShape): string {
  const dir = resolve(work, shape);
  if (!existsSync(join(dir, 'model.safetensors'))) writeRandomBase(dir, shape, SEED);
  return dir;
}

/** Rows as the other side reads them. */
function shown({ rows, rowsOf, padId }: Awaited<ReturnType<typeof benchRows>>, steps: number) {
  const numbers = Array.from({ length: steps }, (_, i) => rowsOf(i + 1));
  return { rows: rows.map(({ ids, labels }) => ({ ids, labels })), steps: numbers, pad_id: padId };
}
