import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AppError } from '@moraine/contract';
import { modelTensors, parseModelConfig } from '@moraine/contract/plan';
import { checkWeights, loadBase, rehearseRun } from '@moraine/recipes';
import { createApiKey, createBaseFromDir, ensureDefaultProject, verifyApiKey } from '@moraine/services';
import { smallTokenizer, testServices } from '@moraine/testing';
import { afterAll, expect, test } from 'vitest';

// What is registered can be trained: both sides are asked about the same folder, and must say the same.

const t = await testServices();
afterAll(() => t.close());
const project = await ensureDefaultProject(t.services);
const { key } = await createApiKey(t.services, { projectId: project.id }, { name: 'test' });
const actor = await verifyApiKey(t.services, key);

const CONFIG = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  vocab_size: 8,
  hidden_size: 4,
  intermediate_size: 6,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  tie_word_embeddings: true,
};
const UNTIED = JSON.stringify({ ...CONFIG, tie_word_embeddings: false });
const SHAPES: Shapes = new Map(modelTensors(parseModelConfig(CONFIG)).map(({ name, shape }) => [name, shape]));
const HEAD = 'lm_head.weight';
const EMBEDDING = 'model.embed_tokens.weight';
const NORM = 'model.norm.weight';

type Shapes = Map<string, number[]>;
type Files = Record<string, string | Buffer>;

/** The bytes of a safetensors file of zeros. */
function weights(shapes: Iterable<[string, number[]]>, dtype = 'F32'): Buffer {
  let at = 0;
  const head: Record<string, unknown> = {};
  for (const [name, shape] of shapes) {
    const begin = at;
    at += shape.reduce((a, b) => a * b, { F64: 8, F32: 4, I32: 4, F8_E4M3: 1 }[dtype] ?? 2);
    head[name] = { dtype, shape, data_offsets: [begin, at] };
  }
  return file(JSON.stringify(head), at);
}

function file(header: string, dataBytes: number, announced = header.length): Buffer {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(announced));
  return Buffer.concat([length, Buffer.from(header), Buffer.alloc(dataBytes)]);
}

const single = (shapes: Iterable<[string, number[]]>, dtype?: string): Files => ({
  'model.safetensors': weights(shapes, dtype),
});
/** One file of zeros but for the second element of a tensor, which is these bytes. */
function withElement(name: string, dtype: string, bytes: number[], shapes: Shapes = SHAPES): Files {
  const all = weights(shapes, dtype);
  const headerBytes = Number(all.readBigUInt64LE());
  const header = JSON.parse(all.toString('utf8', 8, 8 + headerBytes)) as Record<string, { data_offsets: number[] }>;
  all.set(bytes, 8 + headerBytes + (header[name]?.data_offsets[0] ?? 0) + bytes.length);
  return { 'model.safetensors': all };
}
const and = (name: string, shape: number[]): Shapes => new Map([...SHAPES, [name, shape]]);
const without = (name: string): Shapes => new Map([...SHAPES].filter(([one]) => one !== name));

const [A, B, INDEX] = [
  'model-00001-of-00002.safetensors',
  'model-00002-of-00002.safetensors',
  'model.safetensors.index.json',
];
const SHARDS: Files = { [A]: weights([...SHAPES].slice(0, 4)), [B]: weights([...SHAPES].slice(4)) };
const indexOf = (...files: string[]) => ({
  [INDEX]: JSON.stringify({ weight_map: Object.fromEntries(files.map((name, i) => [`tensor ${i}`, name])) }),
});

const rows: [what: string, files: Files, says: RegExp | 'good'][] = [
  ['one file', single(SHAPES), 'good'],
  ['one file of float64', single(SHAPES, 'F64'), 'good'],
  ['one file of bfloat16', single(SHAPES, 'BF16'), 'good'],
  ['one file under another name', { 'weights.safetensors': weights(SHAPES) }, /neither model\.safetensors/],
  ['a file beside the weights that is none', { ...single(SHAPES), 'extra.safetensors': 'no' }, 'good'],
  ['shards with an index', { ...SHARDS, ...indexOf(A, B) }, 'good'],
  ['shards without an index', SHARDS, /neither model\.safetensors/],
  ['an index that names a missing shard', { [A]: weights(SHAPES), ...indexOf(A, B) }, /which is not there/],
  ['an index that leaves a shard out', { ...SHARDS, ...indexOf(A) }, /missing/],
  ['an index that names another folder', { ...SHARDS, ...indexOf(`../${A}`) }, /outside the folder/],
  ['an index without a map', { ...single(SHAPES), [INDEX]: 'null' }, /has no weight_map/],
  ['a tensor in two shards', { ...SHARDS, [B]: weights(SHAPES), ...indexOf(A, B) }, /Two files have the tensor/],
  ['a missing tensor', single(without('model.norm.weight')), /model\.norm\.weight .*missing/],
  ['a tensor of another shape', single(and('model.norm.weight', [5])), /model\.norm\.weight is \[5\].*\[4\]/],
  ['a tensor too many', single(and('model.extra.weight', [1])), /model\.extra\.weight \[1\] is not part/],
  ['a buffer that follows from config.json', single(and('model.layers.0.self_attn.rotary_emb.inv_freq', [1])), 'good'],
  ['a tied head beside the embedding', single(and(HEAD, [8, 4])), 'good'],
  ['a tied head of another shape', single(and(HEAD, [9, 4])), /lm_head\.weight is \[9, 4\]/],
  ['a tied head alone', single([...without(EMBEDDING), [HEAD, [8, 4]]]), 'good'],
  ['an untied model with its head', { ...single(and(HEAD, [8, 4])), 'config.json': UNTIED }, 'good'],
  ['an untied model without a head', { ...single(SHAPES), 'config.json': UNTIED }, /lm_head\.weight .*missing/],
  [
    'an untied model without an embedding',
    { ...single([...without(EMBEDDING), [HEAD, [8, 4]]]), 'config.json': UNTIED },
    /embed_tokens\.weight .*missing/,
  ],
  ['a file that is cut', { 'model.safetensors': weights(SHAPES).subarray(0, -8) }, /cut short/],
  ['an empty file', { 'model.safetensors': '' }, /it has 0 bytes/],
  ['a header too large', { 'model.safetensors': file('{}', 0, 100_000_001) }, /header of 100000001 bytes/],
  ['a header beyond the file', { 'model.safetensors': file('{}', 0, 50) }, /cut short inside its header/],
  ['a name given twice', { 'model.safetensors': file('{"a":{},"a":{}}', 0) }, /"a" appears twice/],
  ['an unknown type', single(SHAPES, 'F3'), /has type F3/],
  ['quantised weights', single(SHAPES, 'F8_E4M3'), /stored as F8_E4M3, which is none of F32, F16, BF16, F64/],
  ['integers', single(SHAPES, 'I32'), /stored as I32/],
  ['NaN in float32', withElement(NORM, 'F32', [0, 0, 0xc0, 0x7f]), /norm\.weight \[4\] has NaN at \[1\]/],
  ['infinity in bfloat16', withElement(NORM, 'BF16', [0x80, 0xff]), /norm\.weight \[4\] has -Infinity at \[1\]/],
  ['infinity in float16', withElement(NORM, 'F16', [0, 0x7c]), /norm\.weight \[4\] has Infinity at \[1\]/],
  ['a float64 beyond float32', withElement(NORM, 'F64', [0, 0, 0, 0, 0, 0, 0, 0x7f]), /has 5\.48.*e\+303 at \[1\]/],
  ['the largest float16', withElement(NORM, 'F16', [0xff, 0x7b]), 'good'],
];

test.each(rows)('registration and training agree about %s', async (what, files, says) => {
  const dir = mkdtempSync(join(tmpdir(), 'moraine-rule-'));
  const all = { 'config.json': JSON.stringify(CONFIG), ...smallTokenizer(8), ...files };
  for (const [name, bytes] of Object.entries(all)) writeFileSync(join(dir, name), bytes);
  const name = `base-${what.replaceAll(/[^a-z]/g, '-')}`;
  const answers = [
    await said(() => createBaseFromDir(t.services, actor, { name, dir })),
    await said(() => checkWeights(loadBase(dir).weights)),
  ];
  for (const answer of answers) expect(answer).toMatch(says);
});

/** tokenizer.json with other parts, and what its config says beside the end token. */
const tokenizer = (parts: object, config: object = {}, size = 8): Files => ({
  'tokenizer.json': JSON.stringify({ ...JSON.parse(smallTokenizer(size)['tokenizer.json']), ...parts }),
  'tokenizer_config.json': JSON.stringify({ eos_token: '</s>', ...config }),
});
const extra = (content: string) => ({ added_tokens: [{ id: 8, content, special: true }] });
const bpe = (vocab: object) => ({ added_tokens: [], model: { type: 'BPE', unk_token: '<unk>', vocab, merges: [] } });
const wordPiece = (unk_token: string) => ({
  added_tokens: [],
  model: { type: 'WordPiece', unk_token, vocab: { '</s>': 0, '<unk>': 1 }, max_input_chars_per_word: 9 },
});

const tokenizers: [what: string, files: Files, says: RegExp | 'good'][] = [
  ['one that leaves out what it has not', smallTokenizer(8), 'good'],
  ['no object', { 'tokenizer.json': '[]' }, /tokenizer\.json of the base holds no JSON object/],
  ['an empty object', { 'tokenizer.json': '{}' }, /tokenizer\.json has no model/],
  [
    'a config that is cut',
    { 'tokenizer_config.json': '{"eos_token": ' },
    /tokenizer_config\.json of the base is not JSON/,
  ],
  ['no end token', { ...tokenizer(bpe({ '<unk>': 0, a: 1 })), 'tokenizer_config.json': '{}' }, /names no end token/],
  [
    'an end token that it has not',
    tokenizer({}, { eos_token: '<end>' }),
    /no end token \(<end> is not in its vocabulary\)/,
  ],
  ['an unknown pre-tokenizer', tokenizer({ pre_tokenizer: { type: 'Scripts' } }), /pre_tokenizer is of .*Scripts/],
  ['an unknown normalizer', tokenizer({ normalizer: { type: 'Odd' } }), /normalizer is of .*Odd/],
  ['a normalizer that no family has', tokenizer({ normalizer: { type: 'Nmt' } }), 'good'],
  ['an unknown model', tokenizer({ model: { type: 'Words', vocab: {} } }), /model is of type "Words"/],
  [
    'words for a model',
    tokenizer({ model: { type: 'WordLevel', unk_token: '<unk>', vocab: { '<unk>': 1, eat: 2 } } }),
    'good',
  ],
  ['an unknown decoder', tokenizer({ decoder: { type: 'Odd' } }), /Unknown Decoder type: Odd/],
  [
    'a pattern that is none',
    tokenizer({ pre_tokenizer: { type: 'Split', pattern: { Regex: '(a' } } }),
    /cannot be read/,
  ],
  ['more tokens than the embedding has rows', smallTokenizer(9), /makes token 8 \("n"\), but .* vocabulary has 8/],
  ['an end token beyond the embedding', tokenizer(extra('<end>'), { eos_token: '<end>' }), /makes token 8 \("<end>"\)/],
  ['a padding token beyond it', tokenizer(extra('<pad>'), { pad_token: '<pad>' }), /makes token 8 \("<pad>"\)/],
  ['a token beyond it that nothing writes', tokenizer(extra('<image>')), 'good'],
  [
    'a token beyond it that the template writes',
    tokenizer(extra('<turn>'), { chat_template: '<turn>{{ messages[0].content }}' }),
    /makes token 8 \("<turn>"\)/,
  ],
  ['a text that has no token', tokenizer(wordPiece('<none>')), /has no token for/],
  ['a template that cannot be rendered', tokenizer({}, { chat_template: '{{ messages | odd }}' }), /the filter 'odd'/],
];

test.each(tokenizers)('registration and a run agree about a tokenizer with %s', async (what, files, says) => {
  const dir = mkdtempSync(join(tmpdir(), 'moraine-rule-'));
  const rows = join(mkdtempSync(join(tmpdir(), 'moraine-rule-rows-')), 'rows.jsonl');
  writeFileSync(rows, '{"text": "eat a toe"}\n');
  const all = { 'config.json': JSON.stringify(CONFIG), ...smallTokenizer(8), ...single(SHAPES), ...files };
  for (const [name, bytes] of Object.entries(all)) writeFileSync(join(dir, name), bytes);
  const name = `tokenizer-${what.replaceAll(/[^a-z]/g, '-')}`;
  const request = { model: name, training_file: 'file-x', adapter: { type: 'lora' as const, rank: 2 } };
  const answers = [
    await said(() => createBaseFromDir(t.services, actor, { name, dir })),
    await said(() =>
      rehearseRun({ request, baseDir: dir, baseName: name, trainingFile: rows, otherFiles: [], seed: 1 }),
    ),
  ];
  for (const answer of answers) expect(answer).toMatch(says);
});

test('a head that differs from the embedding is kept, whatever config.json ties: both sides count it', async () => {
  const folder = (files: Files): string => {
    const dir = mkdtempSync(join(tmpdir(), 'moraine-tied-'));
    const all = { 'config.json': JSON.stringify(CONFIG), ...smallTokenizer(8), ...files };
    for (const [name, bytes] of Object.entries(all)) writeFileSync(join(dir, name), bytes);
    return dir;
  };
  const both = and(HEAD, [8, 4]);
  const dirs = { same: folder(single(both)), other: folder(withElement(HEAD, 'F32', [0, 0, 0x80, 0x3f], both)) };
  const [same, other] = [loadBase(dirs.same), loadBase(dirs.other)];
  expect([same.config.tieEmbeddings, same.weights.has(HEAD), same.notes]).toEqual([true, false, []]);
  expect([other.config.tieEmbeddings, other.weights.has(HEAD)]).toEqual([false, true]);
  expect(other.notes[0]).toMatch(/head differs from the embedding/);

  const parametersOf = async (name: string, dir: string) =>
    (await createBaseFromDir(t.services, actor, { name, dir })).parameters ?? 0;
  const shared = await parametersOf('tied-same', dirs.same);
  expect(await parametersOf('tied-other', dirs.other)).toBe(shared + 8 * 4);
  const stored = await t.services.db.base.findFirst({ where: { name: 'tied-other' } });
  expect(parseModelConfig(stored?.config).tieEmbeddings).toBe(false);
});

/** The message of a refusal as `invalid_base`, or 'good'. */
async function said(act: () => unknown): Promise<string> {
  try {
    await act();
    return 'good';
  } catch (error) {
    if (error instanceof AppError && error.code === 'invalid_base') return error.message;
    throw error;
  }
}
