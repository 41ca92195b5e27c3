import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readSafetensors, writeSafetensors } from '@moraine/engine';
import { describe, expect, it, test } from 'vitest';
import { loadBase, readAdapter, scoreFile, writeRandomBase } from '../src/index.js';
import { METHODS, ofType, runOf, specOf, writeSums, writeTinyBase } from './tiny-base.js';

const base = writeTinyBase();
const { config } = loadBase(base);
const sums = writeSums(base, 'sums.jsonl', 12);

const PATH = 'model.layers.1.self_attn.k_proj'; // [16, 32] in the tiny base
const PLAIN = { peft_type: 'LORA', r: 2, lora_alpha: 6, bias: 'none', use_rslora: false };

/** A folder in PEFT's layout with one adapted layer of the rank. */
function peftFolder(json: Record<string, unknown>, { rank = 2, inDim = 32, path = PATH } = {}): string {
  const dir = mkdtempSync(join(tmpdir(), 'moraine-peft-'));
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, 'adapter_config.json'), JSON.stringify(json));
  const tensors = new Map([
    [`base_model.model.${path}.lora_A.weight`, { shape: [rank, inDim], data: new Float32Array(rank * inDim).fill(1) }],
    [`base_model.model.${path}.lora_B.weight`, { shape: [16, rank], data: new Float32Array(16 * rank).fill(1) }],
  ]);
  writeSafetensors(join(dir, 'adapter_model.safetensors'), tensors);
  return dir;
}

describe('the scale of a LoRA that somebody else wrote', () => {
  it.each([
    ['alpha / r', PLAIN, 2, 3],
    ['alpha / sqrt(r)', { ...PLAIN, use_rslora: true }, 2, 6 / Math.sqrt(2)],
    ['of a layer with a rank of its own', { ...PLAIN, rank_pattern: { k_proj: 4 } }, 4, 1.5],
    ['of a layer with an alpha of its own', { ...PLAIN, alpha_pattern: { 'layers.1.self_attn.k_proj': 8 } }, 2, 4],
  ])('is %s', (_what, json, rank, scale) => {
    const { adapter, variables, options } = readAdapter(peftFolder(json, { rank }), config);
    if (options.type !== 'lora') throw new Error(options.type);
    const own = options.alpha / (options.use_rslora ? Math.sqrt(options.rank) : options.rank);
    expect(adapter.paths).toEqual([PATH]);
    expect(own * (variables.get(`${PATH}.lora_B`)?.data[0] ?? 0)).toBeCloseTo(scale, 6);
    expect(variables.get(`${PATH}.lora_A`)?.data[0]).toBe(1);
  });
});

describe('an adapter that is not applied as it was trained is refused', () => {
  it.each([
    [{ ...PLAIN, use_dora: true }, /lora_magnitude_vector is missing/],
    [{ ...PLAIN, bias: 'all' }, /bias is "all": trained biases/],
    [{ ...PLAIN, peft_type: 'IA3' }, /peft_type is "IA3": only LORA/],
    [{ ...PLAIN, modules_to_save: ['lm_head'] }, /modules_to_save names lm_head, whose weights it does not hold/],
    [{ ...PLAIN, init_lora_weights: 'pissa_niter_4' }, /it changed the base/],
    [{ ...PLAIN, init_lora_weights: 'lora_ga' }, /it changed the base/],
    [{ ...PLAIN, r: 3 }, /the rank of model\.layers\.1\.self_attn\.k_proj is 3, its matrices have 2/],
  ])('%j', (json, message) => {
    expect(() => readAdapter(peftFolder(json), config)).toThrow(message);
  });

  it('also when it belongs to another base, or is none', () => {
    expect(() => readAdapter(peftFolder(PLAIN, { inDim: 33 }), config)).toThrow(
      /lora_A is \[2, 33\], this base needs \[2, 32\]/,
    );
    const path = 'transformer.h.0.attn.c_attn';
    expect(() => readAdapter(peftFolder(PLAIN, { path }), config)).toThrow(`adapts ${path}, which the base`);
    expect(() => readAdapter(base, config)).toThrow('holds no adapter');
  });
});

describe('modules that were trained whole', () => {
  /** A LoRA with weights of the base beside it, each filled with one number. */
  const withWhole = (weights: Record<string, { shape: number[]; value: number }>): string => {
    const dir = peftFolder({ ...PLAIN, modules_to_save: ['norm'] });
    const file = join(dir, 'adapter_model.safetensors');
    const more = Object.entries(weights).map(([name, { shape, value }]) => {
      const data = new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(value);
      return [`base_model.model.${name}`, { shape, dtype: 'F32' as const, data }] as const;
    });
    const { tensors } = readSafetensors(file);
    writeSafetensors(file, new Map([...tensors, ...more]));
    return dir;
  };
  const norm = { 'model.norm.weight': { shape: [32], value: 2 } };

  it('are read with their adapter, and refused in another shape', () => {
    const { adapter, variables } = readAdapter(withWhole(norm), config);
    expect(adapter.paths).toEqual([PATH]);
    expect(variables.get('model.norm.weight')?.data[0]).toBe(2);
    const narrow = withWhole({ 'model.norm.weight': { shape: [31], value: 2 } });
    expect(() => readAdapter(narrow, config)).toThrow('model.norm.weight is [31], this base needs [32]');
  });

  it('have the head of a tied base beside its embedding, and the two are equal', () => {
    expect(config.tieEmbeddings).toBe(true);
    const shape = [config.vocabSize, 32];
    const tied = (value: number) => ({
      ...norm,
      'model.embed_tokens.weight': { shape, value: 3 },
      'lm_head.weight': { shape, value },
    });
    expect([...readAdapter(withWhole(tied(3)), config).variables.keys()]).not.toContain('lm_head.weight');
    expect(() => readAdapter(withWhole(tied(4)), config)).toThrow('its head is not its embedding');
    // As PEFT writes it without ensure_weight_tying: its head is the base's then, not this embedding.
    const { 'lm_head.weight': _head, ...alone } = tied(3);
    expect(() => readAdapter(withWhole(alone), config)).toThrow('its head is not its embedding');
  });
});

test('an adapter that holds a number which is none is refused by its name and place', () => {
  const dir = peftFolder(PLAIN);
  const file = join(dir, 'adapter_model.safetensors');
  const { tensors } = readSafetensors(file);
  const [[name, tensor] = []] = [...tensors];
  if (tensor?.data instanceof Float32Array) tensor.data[3] = Number.POSITIVE_INFINITY;
  writeSafetensors(file, tensors);
  expect(() => readAdapter(dir, config)).toThrow(`${name} [${tensor?.shape.join(', ')}] has Infinity as element 3.`);
});

test.each(['lora', 'mora type 1', 'mora type 6'])(
  'an exported %s scores a file as the model that it is merged into',
  async (name) => {
    const events = await runOf(specOf(base, sums, METHODS[name] ?? { type: 'none' }));
    const dirs = new Map(ofType(events, 'finished')[0]?.exports.map(({ kind, dir }) => [kind, dir]));
    const score = (baseDir: string, adapterDir: string | null) =>
      scoreFile({ baseDir, adapterDir, file: sums, mode: 'plain' });
    const [adapted, merged, alone] = [
      await score(base, dirs.get('adapter') ?? ''),
      await score(dirs.get('merged') ?? '', null),
      await score(base, null),
    ];
    expect(adapted.natsPerToken).toBeCloseTo(merged.natsPerToken, 5);
    expect(adapted.natsPerSupervisedToken).toBeCloseTo(merged.natsPerSupervisedToken, 5);
    expect(Math.abs(adapted.natsPerSupervisedToken - alone.natsPerSupervisedToken)).toBeGreaterThan(0.1);
    expect(adapted.tokens).toBeGreaterThan(adapted.supervisedTokens);
  },
);

test('random weights have the spread of a fresh model, are the same for a seed, and load', () => {
  const write = (seed: number): string => {
    const dir = mkdtempSync(join(tmpdir(), 'moraine-random-'));
    writeRandomBase(dir, '260k', seed);
    return dir;
  };
  const dir = write(1);
  const bytes = readFileSync(join(dir, 'model.safetensors'));
  expect(bytes.equals(readFileSync(join(write(1), 'model.safetensors')))).toBe(true);
  expect(bytes.equals(readFileSync(join(write(2), 'model.safetensors')))).toBe(false);
  expect(loadBase(dir).config).toMatchObject({ hiddenSize: 64, heads: 8, kvHeads: 8, tieEmbeddings: true });
  const { tensors } = readSafetensors(join(dir, 'model.safetensors'));
  const embedding = tensors.get('model.embed_tokens.weight')?.data as Float32Array;
  const mean = embedding.reduce((sum, value) => sum + value, 0) / embedding.length;
  const spread = Math.sqrt(embedding.reduce((sum, value) => sum + value * value, 0) / embedding.length);
  expect(mean).toBeCloseTo(0, 3);
  expect(spread).toBeCloseTo(0.02, 3);
  expect(tensors.get('model.norm.weight')?.data[5]).toBe(1);
});
