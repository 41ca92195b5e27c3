import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AttemptEvent } from '@moraine/contract';
import { readSafetensors, writeSafetensors } from '@moraine/engine';
import { beforeAll, describe, expect, it } from 'vitest';
import { loadBase, readAdapter } from '../src/index.js';
import { METHODS, ofType, runOf, specOf, tinyTargets, writeSums, writeTinyBase } from './tiny-base.js';

const base = writeTinyBase();
writeFileSync(join(base, 'generation_config.json'), '{"max_new_tokens": 5}');
writeFileSync(join(base, 'notes.txt'), 'of the owner');
const sums = writeSums(base, 'sums.jsonl', 12);
const { config } = loadBase(base);

type Ended = Extract<AttemptEvent, { type: 'finished' }>;
interface Finished {
  outDir: string;
  exports: Ended['exports'];
  dirs: Map<string, string>;
}

async function finish(name: string, change: (outDir: string) => void = () => undefined): Promise<Finished> {
  const spec = specOf(base, sums, METHODS[name] ?? { type: 'none' });
  spec.config.steps = 3;
  change(spec.outDir);
  const events: AttemptEvent[] = await runOf(spec);
  const exports = ofType(events, 'finished')[0]?.exports ?? [];
  return { outDir: spec.outDir, exports, dirs: new Map(exports.map(({ kind, dir }) => [kind, dir ?? ''])) };
}

const finished = new Map<string, Finished>();
beforeAll(async () => {
  for (const name of Object.keys(METHODS)) finished.set(name, await finish(name));
});

const folder = (name: string, kind: string): string => finished.get(name)?.dirs.get(kind) ?? '';
const json = (dir: string, name: string): unknown => JSON.parse(readFileSync(join(dir, name), 'utf8'));

describe('what a run leaves', () => {
  it.each([
    ['lora', ['adapter', 'merged', 'peft']],
    ['mora type 1', ['adapter', 'merged', 'peft']],
    ['mora type 6', ['adapter', 'merged']],
    ['full', ['merged']],
  ])('after %s is %j, and nothing temporary', (name, kinds) => {
    expect([...(finished.get(name)?.dirs.keys() ?? [])].sort()).toEqual(kinds);
    expect(readdirSync(join(finished.get(name)?.outDir ?? '', 'exports')).sort()).toEqual(kinds);
  });

  it.each(Object.keys(METHODS))(
    'after %s has a merged model with the companions of its base, what is known of it, and no other file',
    (name) => {
      const dir = folder(name, 'merged');
      expect(readdirSync(dir).sort()).toEqual([
        'README.md',
        'config.json',
        'export.json',
        'generation_config.json',
        'model.safetensors',
        'tokenizer.json',
        'tokenizer_config.json',
      ]);
      for (const file of ['config.json', 'tokenizer.json', 'generation_config.json'])
        expect(readFileSync(join(dir, file))).toEqual(readFileSync(join(base, file)));
    },
  );

  it.each(['lora', 'mora type 1', 'mora type 6'])('after %s changes the adapted layers of its base only', (name) => {
    const before = readSafetensors(join(base, 'model.safetensors')).tensors;
    const after = readSafetensors(join(folder(name, 'merged'), 'model.safetensors')).tensors;
    expect([...after.keys()].sort()).toEqual([...before.keys()].sort());
    const changed = [...before].filter(([key, { data }]) => {
      const other = after.get(key)?.data ?? [];
      return data.some((value, i) => value !== other[i]);
    });
    expect(changed.map(([key]) => key).sort()).toEqual(tinyTargets.map((path) => `${path}.weight`).sort());
  });

  it('after full fine-tuning has other weights everywhere', () => {
    const before = readSafetensors(join(base, 'model.safetensors')).tensors;
    const after = readSafetensors(join(folder('full', 'merged'), 'model.safetensors')).tensors;
    for (const [key, { data }] of before)
      expect(data.some((value, i) => value !== (after.get(key)?.data ?? [])[i])).toBe(true);
  });
});

describe('an adapter folder', () => {
  it.each(['lora', 'mora type 1', 'mora type 6'])('of %s is read back with every layer', (name) => {
    const { adapter, variables } = readAdapter(folder(name, 'adapter'), config);
    expect([...adapter.paths].sort()).toEqual([...tinyTargets].sort());
    expect(variables.size).toBe(name === 'lora' ? 2 * tinyTargets.length : tinyTargets.length);
  });

  it.each([
    ['lora', 'adapter', 'adapter_config.json', { peft_type: 'LORA', base_model_name_or_path: 'tiny', bias: 'none' }],
    [
      'mora type 1',
      'adapter',
      'mora_config.json',
      { format: 'moraine-mora', format_version: 1, mora_type: 1, rank: 4 },
    ],
    [
      'mora type 6',
      'adapter',
      'mora_config.json',
      { format: 'moraine-mora', format_version: 1, mora_type: 6, rank: 4 },
    ],
    ['mora type 1', 'peft', 'adapter_config.json', { peft_type: 'LORA', task_type: 'CAUSAL_LM' }],
  ])('of %s (%s) says in %s what it is', (name, kind, file, wanted) => {
    expect(json(folder(name, kind), file)).toMatchObject(wanted);
  });

  it('of LoRA for PEFT is the same, byte for byte, as its own', () => {
    for (const file of ['adapter_model.safetensors', 'adapter_config.json'])
      expect(readFileSync(join(folder('lora', 'peft'), file))).toEqual(
        readFileSync(join(folder('lora', 'adapter'), file)),
      );
  });
});

it('a folder that broke off half-written in an earlier try does not leak into the finished one', async () => {
  const { dirs } = await finish('lora', (outDir) => {
    const half = join(outDir, 'exports', '.tmp-adapter');
    mkdirSync(half, { recursive: true });
    writeFileSync(join(half, 'half.bin'), 'half');
  });
  expect(existsSync(join(dirs.get('adapter') ?? '', 'half.bin'))).toBe(false);
  expect(readdirSync(dirs.get('adapter') ?? '').sort()).toEqual([
    'README.md',
    'adapter_config.json',
    'adapter_model.safetensors',
    'export.json',
  ]);
});

it('a head that differs from the embedding, though config.json ties them, is trained with, kept in merged/, and no longer tied there', async () => {
  const dir = writeTinyBase();
  const file = join(dir, 'model.safetensors');
  const { tensors } = readSafetensors(file);
  const embedding = tensors.get('model.embed_tokens.weight');
  const head = Float32Array.from((embedding?.data as Float32Array) ?? [], (x, i) => x + (i % 7) / 100);
  writeSafetensors(file, new Map([...tensors, ['lm_head.weight', { dtype: 'F32', shape: [260, 32], data: head }]]));
  const spec = specOf(dir, sums, METHODS.lora ?? { type: 'none' });
  spec.config.steps = 2;
  const events = await runOf(spec);
  expect(ofType(events, 'message').map(({ message }) => message)).toContainEqual(expect.stringMatching(/head differs/));
  expect(ofType(events, 'metrics')[0]?.values.train_loss).not.toBe(
    ofType(await runOf(specOf(base, sums, METHODS.lora ?? { type: 'none' })), 'metrics')[0]?.values.train_loss,
  );
  const merged = join(spec.outDir, 'exports', 'merged');
  expect(json(merged, 'config.json')).toMatchObject({ tie_word_embeddings: false, vocab_size: 260 });
  expect(readSafetensors(join(merged, 'model.safetensors')).tensors.get('lm_head.weight')?.data).toEqual(head);
});
