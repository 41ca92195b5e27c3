/**
 * `npm run test:families`: transformers writes a random base of every family (shards, float32, float16, bfloat16), Moraine scores it,
 * answers with it, trains LoRA and full on it, and transformers and PEFT load what came out. Losses must agree to 2e-5, greedy text must be
 * equal. Needs .venv/peft, which it makes (several GB). The last line is the total.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { encodeFile, loadTokenizer } from '@moraine/data';
import { readSafetensorsHeader } from '@moraine/engine';
import { referencePython } from '../peft/environment.js';

const root = resolve(import.meta.dirname, '../..');
const work = mkdtempSync(join(tmpdir(), 'moraine-families-'));
const cli = join(root, 'apps/cli/bin/moraine.mjs');
const train = join(root, 'examples/tasks/record-train.jsonl');
const heldOut = join(work, 'heldout.jsonl'); // the first 20 rows
const PROMPTS = ['One day, a fox', 'On Saturday in Longgate, Holno borrowed 19 pink pencils from Dunsa.', 'The'];

const python = (...args: string[]): number =>
  spawnSync(referencePython(), ['-B', join(import.meta.dirname, 'families.py'), ...args], { stdio: 'inherit' })
    .status ?? 1;

function local(command: string, ...args: string[]): Record<string, unknown> {
  const out = execFileSync('node', [cli, 'local', command, ...args, '--json'], { encoding: 'utf8' });
  return JSON.parse(out.trim().split('\n').at(-1) ?? '') as Record<string, unknown>;
}

const lossOf = (...args: string[]): number =>
  local('eval', '--data', heldOut, ...args).nats_per_supervised_token as number;

function train10(base: string, method: string): string {
  const out = join(work, `${base.split('/').at(-1)}-${method}`);
  local(
    'train',
    '--base',
    base,
    '--data',
    train,
    '--out',
    out,
    '--method',
    method,
    '--steps',
    '10',
    '--batch-size',
    '4',
  );
  return out;
}

async function caseOf(name: string): Promise<Record<string, unknown>> {
  const base = join(work, 'bases', name);
  for (const file of ['tokenizer.json', 'tokenizer_config.json'])
    copyFileSync(join(root, 'examples/base', file), join(base, file));
  const { rows } = await encodeFile(heldOut, await loadTokenizer(base), { maxSeqLen: 128 });
  const answers = local(
    'generate',
    '--base',
    base,
    '--raw',
    '--max-new-tokens',
    '16',
    ...PROMPTS.flatMap((prompt) => ['--prompt', prompt]),
  );
  const [lora, full] = [train10(base, 'lora'), train10(base, 'full')];
  const shard = readdirSync(base).find((file) => file.endsWith('.safetensors')) ?? '';
  return {
    name,
    base,
    dtype: readSafetensorsHeader(join(base, shard)).entries[0]?.dtype,
    rows: rows.map(({ ids, labels }) => ({ ids: [...ids], labels: [...labels] })),
    baseLoss: lossOf('--base', base),
    answers: (answers.answers as { prompt: string; text: string }[]).map(({ prompt, text }) => [prompt, text]),
    peft: join(lora, 'peft'),
    merged: { lora: join(lora, 'merged'), full: join(full, 'merged') },
    losses: {
      adapter: lossOf('--base', base, '--adapter', join(lora, 'adapter')),
      lora: lossOf('--base', join(lora, 'merged')),
      full: lossOf('--base', join(full, 'merged')),
    },
  };
}

try {
  if (python('make', join(work, 'bases')) !== 0) throw new Error('transformers could not write the bases');
  const lines = readFileSync(join(root, 'examples/tasks/record-heldout.jsonl'), 'utf8').split('\n');
  writeFileSync(heldOut, lines.slice(0, 20).join('\n'));
  const cases = [];
  for (const name of readdirSync(join(work, 'bases'))) cases.push(await caseOf(name));
  const list = join(work, 'cases.json');
  writeFileSync(list, JSON.stringify(cases));
  process.exitCode = python('check', list);
} finally {
  rmSync(work, { recursive: true, force: true });
}
