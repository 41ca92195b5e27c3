import { expect, test } from 'vitest';
import {
  AdapterRequest,
  METHOD_SPELLINGS,
  METHODS,
  methodCoverage,
  methodLabel,
  methodRow,
  requestOf,
} from '../src/methods/registry.js';
import { parseModelConfig, resolveAdapter } from '../src/plan/index.js';

const base = parseModelConfig({
  model_type: 'llama',
  vocab_size: 64,
  hidden_size: 32,
  intermediate_size: 48,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  max_position_embeddings: 64,
  rms_norm_eps: 1e-5,
});
const resolve = (body: unknown) => resolveAdapter(AdapterRequest.parse(body), base).adapter;

test('every word of the command line is a request that resolves to the row it is of, and its aliases mean the same', () => {
  for (const row of METHODS) {
    for (const { spelling, aliases = [], request } of row.variants as readonly {
      spelling: string;
      aliases?: readonly string[];
      request: object;
    }[]) {
      expect(METHOD_SPELLINGS).toContain(spelling);
      expect(resolve(request).type).toBe(row.type);
      for (const alias of aliases) expect(requestOf(alias)).toEqual(request);
    }
  }
});

test('a word that is none is refused with the nearest', () => {
  expect(() => requestOf('mora-7')).toThrow(expect.objectContaining({ hint: "Did you mean 'mora-1'?" }));
});

test('a resolved configuration is what its own schema takes, so nothing is missing in it', () => {
  for (const { type } of METHODS)
    expect(methodRow({ type }).config.parse(resolve({ type }))).toEqual(resolve({ type }));
});

test.each([
  [{ type: 'lora', mora_type: 1 }, 'mora_type', "Leave it out, or set adapter.type to 'mora'."],
  [{ type: 'mora', alpha: 8 }, 'alpha', 'Leave it out: MoRA has no scale; its learning rate does that work.'],
  [{ type: 'moa', use_rslora: false }, 'use_rslora', 'Leave it out: MoRA has no scale.'],
  [
    { type: 'none', rank: 8 },
    'rank',
    expect.stringMatching(
      /^Leave it out: type 'none' trains every weight\. Or set adapter\.type to 'lora'.* or '\w+'\.$/,
    ),
  ],
])('a written key of another method is refused, a default never: %o', (body, key, hint) => {
  expect(() => resolve(body)).toThrow(
    expect.objectContaining({ code: 'invalid_value', param: `adapter.${key}`, hint }),
  );
});

test('MoRA counts the square of every operator, and reads all inputs only where an operator leaves some out', () => {
  const count = (mora_type: unknown) =>
    resolveAdapter(AdapterRequest.parse({ type: 'mora', rank: 1, mora_type }), base).trainableParameters;
  // Sides of one block: 32 by 32 four times, round(sqrt(64)) = 8; 32 by 48 three times, round(sqrt(80)) = 9, even: 8.
  for (const mora_type of [1, 2, 3, 4, 'truncation', 'decouple'])
    expect(count(mora_type)).toBe(2 * (4 * 8 ** 2 + 3 * 9 ** 2));
  expect(count(6)).toBe(2 * 7 * 8 ** 2);
  const all = { type: 'mora', mora_all_inputs: true };
  expect(resolve({ ...all, mora_type: 'decouple' })).toMatchObject({ mora_all_inputs: true });
  expect(resolve({ ...all, mora_all_inputs: false })).not.toHaveProperty('mora_all_inputs');
  for (const [mora_type, problem] of [
    [3, 'type 3 reads every input'],
    ['truncation', 'type truncation is the first inputs alone'],
  ] as const)
    expect(() => resolve({ ...all, mora_type })).toThrow(
      expect.objectContaining({ message: expect.stringContaining(problem) }),
    );
});

test('methods beside LoRA and MoRA count what they train, and refuse a rank that a layer is too small for', () => {
  const count = (type: string) => resolveAdapter(AdapterRequest.parse({ type, rank: 2 }), base).trainableParameters;
  const ends = 2 * (4 * (32 + 32) + 3 * (32 + 48));
  const outputs = 2 * (4 * 32 + 48 + 48 + 32);
  expect(count('hira')).toBe(2 * ends);
  expect(count('dora')).toBe(2 * ends + outputs);
  expect(count('miss')).toBe(2 * outputs);
  expect(count('pissa')).toBe(2 * ends);
  expect(count('gralora')).toBe(2 * ends);
  const uneven = { type: 'gralora', rank: 6, sub_blocks: 3 };
  expect(() => resolve(uneven)).toThrow(
    expect.objectContaining({
      param: 'adapter.sub_blocks',
      message: expect.stringContaining('does not divide the inputs of'),
    }),
  );
  expect(() => resolve({ ...uneven, rank: 5, sub_blocks: 2 })).toThrow('does not divide the rank, 5');
  expect(resolve({ type: 'oft', rotation: 'series' })).toEqual(resolve({ type: 'oft' }));
  expect(resolve({ type: 'oft', rotation: 'cayley' })).toMatchObject({ rotation: 'cayley' });
  const asymmetric = AdapterRequest.parse({ type: 'lora', rank: 2, init: 'asymmetric' });
  expect(resolveAdapter(asymmetric, base).trainableParameters).toBe(2 * outputs);
  for (const type of ['dora', 'hira', 'miss', 'pissa'])
    expect(() => resolve({ type, rank: 33 })).toThrow(
      expect.objectContaining({ hint: expect.stringContaining('at most 32') }),
    );
});

test('what LoRA is asked beyond its defaults is kept, and nothing is written down for a default', () => {
  expect(resolve({ lora_plus_ratio: 1, init: 'kaiming' })).toEqual(resolve({}));
  expect(resolve({ lora_plus_ratio: 4, init: 'asymmetric' })).toEqual({
    ...resolve({}),
    lora_plus_ratio: 4,
    init: 'asymmetric',
  });
  for (const type of ['dora', 'pissa'])
    expect(resolve({ type, lora_plus_ratio: 2 })).toMatchObject({ lora_plus_ratio: 2 });
  expect(() => resolve({ type: 'dora', init: 'asymmetric' })).toThrow("adapter.type 'dora' does not have it");
});

test('a restart is resolved with a warm-up, and refused where it cannot be', () => {
  expect(resolve({ restart: { every: 2000 } })).toMatchObject({ restart: { every: 2000, warmup: 50 } });
  expect(resolve({ restart: { every: 10 } })).toMatchObject({ restart: { every: 10, warmup: 3 } });
  expect(resolve({ restart: { every: 1 } })).toMatchObject({ restart: { every: 1, warmup: 0 } });
  expect(resolve({ type: 'mora', restart: { every: 10, warmup: 0 } })).toMatchObject({
    mora_type: 1,
    restart: { every: 10, warmup: 0 },
  });
  expect(methodLabel(resolve({ type: 'mora', mora_type: 3, restart: { every: 10 } }))).toBe('remora type 3 r8');
  const refusals: [object, string, string][] = [
    [{ restart: { every: 5, warmup: 5 } }, 'adapter.restart.warmup', "'adapter.restart.warmup' is 5"],
    [{ type: 'mora', mora_type: 6, restart: { every: 5 } }, 'adapter.mora_type', 'MoRA type 6 has no other groups'],
    [{ type: 'hira', restart: { every: 5 } }, 'adapter.restart', "adapter.type 'hira' does not have it"],
  ];
  for (const [body, param, message] of refusals)
    expect(() => resolve(body)).toThrow(expect.objectContaining({ param, message: expect.stringContaining(message) }));
  const config = resolve({ restart: { every: 5 } });
  expect(methodRow(config).withoutExport(config, 'peft')).toMatch(/merged and started again/);
  expect(methodRow(config).withoutExport(config, 'merged')).toBeNull();
});

test('what a run trains is said in words', () => {
  expect(methodCoverage(resolve({ target_modules: ['q_proj', 'layers.0.mlp'], modules_to_save: ['model.norm'] }))).toBe(
    '5 linear layers with an adapter (q_proj 2, gate_proj 1, up_proj 1, down_proj 1), 1 module whole (norm 1)',
  );
  expect(methodCoverage(resolve({ type: 'none' }))).toBe('every weight');
  expect(methodCoverage(resolve({ type: 'none', modules_to_save: ['embeddings'] }))).toBe(
    '1 module whole (embed_tokens 1)',
  );
});

test('labels are short, and say the size', () => {
  const labels = ['lora', 'mora', 'mora-1', 'mora-6', 'full'].map((word) =>
    methodLabel(resolve({ ...requestOf(word) })),
  );
  expect(labels).toEqual(['lora r8', 'mora type 6 r8', 'mora type 1 r8', 'mora type 6 r8', 'full']);
});
