import { copyFileSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseModelConfig } from '@moraine/contract/plan';
import { loadBaseTokenizer } from '@moraine/data';
import { decode } from '@moraine/engine';
import { type HostTensor, initialWeights } from '@moraine/lm';
import { describe, expect, it } from 'vitest';
import { bytesOf, type GgufTensor, ggufHeader } from '../src/gguf/format.js';
import { familyOf, modelMetadata, ropeFactors, tensorData, tensorName } from '../src/gguf/model.js';
import { missingBytes, tokenizerMetadata } from '../src/gguf/tokenizer.js';
import { ggufOfFolder, loadBase, readWeight } from '../src/index.js';
import { writeTinyBase } from './tiny-base.js';

// What llama.cpp makes of the files is `npm run test:gguf`; here is what the format and its converter's names say.

/** Reads what stands before the tensors, as the format says it. */
function readHeader(bytes: Buffer) {
  let at = 0;
  const take = (size: number): Buffer => {
    at += size;
    return bytes.subarray(at - size, at);
  };
  const u32 = () => take(4).readUInt32LE();
  const u64 = () => Number(take(8).readBigUInt64LE());
  const text = () => take(u64()).toString();
  const readers: Record<number, () => unknown> = {
    4: u32,
    5: () => take(4).readInt32LE(),
    6: () => take(4).readFloatLE(),
    7: () => take(1)[0] === 1,
    8: text,
    9: () => {
      const item = readers[u32()];
      return Array.from({ length: u64() }, () => item?.());
    },
  };
  const [magic, version, tensorCount, metadataCount] = [take(4).toString(), u32(), u64(), u64()];
  const metadata = Object.fromEntries(Array.from({ length: metadataCount }, () => [text(), readers[u32()]?.()]));
  const tensors = Array.from({ length: tensorCount }, () => ({
    name: text(),
    shape: Array.from({ length: u32() }, u64),
    code: u32(),
    offset: u64(),
  }));
  return { magic, version, metadata, tensors, dataStart: Math.ceil(at / 32) * 32 };
}

const SIZES = {
  vocab_size: 64,
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 6,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  max_position_embeddings: 64,
};
const llama3 = {
  rope_type: 'llama3',
  factor: 8,
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 32,
};
const gemma = { model_type: 'gemma3_text', head_dim: 8, query_pre_attn_scalar: 8, sliding_window: 16 };
const configOf = (config: Record<string, unknown>) => parseModelConfig({ ...SIZES, ...config });

describe('the GGUF of a model', () => {
  it('has its sizes, its tokenizer and its weights, each at a multiple of 32 bytes', async () => {
    const { sizeBytes, pieces } = await ggufOfFolder(writeTinyBase(), 'tiny');
    const file = Buffer.concat([...pieces()]);
    expect(file.length).toBe(sizeBytes);
    const { magic, version, metadata, tensors, dataStart } = readHeader(file);
    expect([magic, version]).toEqual(['GGUF', 3]);
    expect(metadata).toMatchObject({
      'general.architecture': 'llama',
      'general.file_type': 1,
      'llama.block_count': 2,
      'llama.attention.head_count_kv': 2,
      'llama.rope.freq_base': 10_000,
      'tokenizer.ggml.model': 'gpt2',
      'tokenizer.ggml.pre': 'gpt-2',
      'tokenizer.ggml.eos_token_id': 0,
      'tokenizer.ggml.add_bos_token': false,
    });
    const tokens = metadata['tokenizer.ggml.tokens'] as string[];
    expect([tokens.length, tokens[1]]).toEqual([260, '<|user|>']);
    expect((metadata['tokenizer.ggml.token_type'] as number[]).slice(0, 5)).toEqual([3, 3, 3, 3, 1]);
    const named = new Map(tensors.map((tensor) => [tensor.name, tensor]));
    expect(named.get('token_embd.weight')).toMatchObject({ shape: [32, 260], code: 1 });
    expect(named.get('blk.1.ffn_norm.weight')).toMatchObject({ shape: [32], code: 0 });
    expect(named.get('blk.0.attn_k.weight')).toMatchObject({ shape: [32, 16], code: 1 });
    expect(named.has('output.weight')).toBe(false);
    expect(tensors.every(({ offset }) => offset % 32 === 0)).toBe(true);
    const norm = named.get('blk.1.ffn_norm.weight')?.offset ?? 0;
    const stored = decode(
      'F32',
      file.buffer.slice(file.byteOffset + dataStart + norm, file.byteOffset + dataStart + norm + 128),
    );
    expect([...stored]).toEqual(new Array(32).fill(1));
  });

  it('has the default chat template, and the one for tools under its name', async () => {
    const dir = writeTinyBase();
    const templates = ['default', 'tool_use', 'rag'].map((name) => ({ name, template: `{{ '${name}' }}` }));
    writeFileSync(
      join(dir, 'tokenizer_config.json'),
      JSON.stringify({ eos_token: '<|end|>', chat_template: templates }),
    );
    const { metadata } = readHeader(Buffer.concat([...(await ggufOfFolder(dir, 'tiny')).pieces()]));
    expect(metadata).toMatchObject({
      'tokenizer.chat_template': "{{ 'default' }}",
      'tokenizer.chat_template.tool_use': "{{ 'tool_use' }}",
      'tokenizer.chat_templates': ['tool_use'],
    });
  });

  it('has its matrices in float32 where that is asked for', async () => {
    const dir = writeTinyBase();
    const { sizeBytes, pieces } = await ggufOfFolder(dir, 'tiny', 'F32');
    const file = Buffer.concat([...pieces()]);
    expect(file.length).toBe(sizeBytes);
    const { metadata, tensors, dataStart } = readHeader(file);
    expect(metadata['general.file_type']).toBe(0);
    expect(tensors.every(({ code }) => code === 0)).toBe(true);
    const { data } = readWeight(loadBase(dir), 'model.embed_tokens.weight');
    const at = file.byteOffset + dataStart + (tensors.find(({ name }) => name === 'token_embd.weight')?.offset ?? 0);
    expect([...decode('F32', file.buffer.slice(at, at + 4 * data.length))]).toEqual([...data]);
  });

  it('keeps offsets behind tensors that end between two multiples', () => {
    const tensors: GgufTensor[] = [
      { name: 'a', shape: [3], dtype: 'F32' },
      { name: 'b', shape: [5, 4], dtype: 'F16' },
      { name: 'c', shape: [1], dtype: 'F32' },
    ];
    const { tensors: read } = readHeader(ggufHeader([], tensors));
    expect(tensors.map(bytesOf)).toEqual([12, 40, 4]);
    expect(read.map(({ shape, offset }) => [shape, offset])).toEqual([
      [[3], 0],
      [[4, 5], 32],
      [[1], 96],
    ]);
  });
});

describe('a vocabulary without tokens for bytes', () => {
  /** The tiny base with a tokenizer of SentencePiece's kind that knows these words alone. */
  function writeBase(vocab: Record<string, number>): string {
    const dir = writeTinyBase();
    const model = { type: 'BPE', unk_token: '<unk>', fuse_unk: true, byte_fallback: true, vocab, merges: [] };
    const normalizer = { type: 'Replace', pattern: { String: ' ' }, content: '▁' };
    const json = { version: '1.0', added_tokens: [], normalizer, pre_tokenizer: null, decoder: null, model };
    writeFileSync(join(dir, 'tokenizer.json'), JSON.stringify(json));
    return dir;
  }

  it('gets them behind it, with the weights of the unknown token', async () => {
    const { pieces } = await ggufOfFolder(writeBase({ a: 0, '<unk>': 1, '<0x0A>': 2, '<|end|>': 3 }), 'tiny');
    const file = Buffer.concat([...pieces()]);
    const { metadata, tensors, dataStart } = readHeader(file);
    const tokens = metadata['tokenizer.ggml.tokens'] as string[];
    const types = metadata['tokenizer.ggml.token_type'] as number[];
    expect([tokens.length, types.length, metadata['llama.vocab_size']]).toEqual([515, 515, 515]);
    expect(tokens.slice(260, 272)).toEqual([...'0123456789B'].map((digit) => `<0x0${digit}>`).concat('<0x0C>'));
    expect(new Set(types.slice(260))).toEqual(new Set([6]));
    const embedding = tensors.find(({ name }) => name === 'token_embd.weight');
    expect(embedding?.shape).toEqual([32, 515]);
    const rowAt = (row: number): string => {
      const at = dataStart + (embedding?.offset ?? 0) + row * 64;
      return file.subarray(at, at + 64).toString('hex');
    };
    expect([rowAt(260), rowAt(514)]).toEqual([rowAt(1), rowAt(1)]);
    expect(rowAt(1)).not.toBe(rowAt(0));
  });

  it('is refused where no token stands for what is unknown', () => {
    expect(() => missingBytes(writeBase({ a: 0 }))).toThrow(/lacks 256 bytes and has no unknown token/);
  });
});

describe('what a family stores otherwise', () => {
  const rows: HostTensor = { shape: [16, 1], data: Float32Array.from({ length: 16 }, (_, i) => i) };
  const q = 'model.layers.0.self_attn.q_proj.weight';

  it('llama has rotary pairs beside each other, qwen2 has halves', () => {
    const pairs = [0, 4, 1, 5, 2, 6, 3, 7];
    expect([...tensorData(q, rows, configOf({ model_type: 'llama' }))]).toEqual([...pairs, ...pairs.map((i) => i + 8)]);
    expect(tensorData(q, rows, configOf({ model_type: 'qwen2' }))).toBe(rows.data);
    expect(tensorData(q.replace('q_', 'v_'), rows, configOf({ model_type: 'llama' }))).toBe(rows.data);
  });

  it('gemma 3 has its norms with the one that is added to them, and its four norms their names', () => {
    const config = configOf(gemma);
    const norm = { shape: [2], data: Float32Array.of(0, 0.5) };
    expect([...tensorData('model.layers.0.self_attn.q_norm.weight', norm, config)]).toEqual([1, 1.5]);
    const names = [...initialWeights(config, { seed: 1, std: 0.1 }).keys()].map((name) => tensorName(name, config));
    expect(names.filter((name) => name.startsWith('blk.5.') && name.includes('norm')).sort()).toEqual(
      ['attn_k_norm', 'attn_norm', 'attn_q_norm', 'ffn_norm', 'post_attention_norm', 'post_ffw_norm'].map(
        (name) => `blk.5.${name}.weight`,
      ),
    );
    expect(Object.fromEntries(modelMetadata('x', config))).toMatchObject({
      'gemma3.attention.sliding_window': { value: 16 },
      'gemma3.rope.freq_base': { value: 1_000_000 },
    });
  });

  // Llama 3.1: wavelengths up to 32 / 4 stay, those beyond 32 are 8 times as long, theta 10,000 and 4 frequencies of 8.
  it('llama 3.1 has factors of its frequencies, from 1 to 8', () => {
    const factors = ropeFactors(configOf({ model_type: 'llama', rope_scaling: llama3 }));
    expect(factors?.[0]).toBeCloseTo(1, 5);
    expect(factors?.[3]).toBeCloseTo(8, 5);
    expect(ropeFactors(configOf({ model_type: 'llama' }))).toBeNull();
  });
});

describe('what llama.cpp would compute otherwise is refused', () => {
  it.each<[Record<string, unknown>, RegExp]>([
    [{ model_type: 'mistral', sliding_window: 16 }, /layers see 16 positions/],
    [{ model_type: 'qwen3', head_dim: 8, attention_bias: true }, /its layers have biases/],
    [
      { model_type: 'qwen2', rope_scaling: llama3 },
      /scales rotary frequencies as Llama 3.1 does in the family llama alone/,
    ],
    [
      { model_type: 'smollm3', num_key_value_heads: 1, no_rope_layers: [1, 0, 1, 1, 1, 1] },
      /layer 1 does not rotate positions/,
    ],
    [{ ...gemma, query_pre_attn_scalar: 16 }, /query_pre_attn_scalar is not head_dim/],
    [{ ...gemma, sliding_window_pattern: 3 }, /layer 2 has another window/],
    [{ ...gemma, rope_local_base_freq: 5000 }, /layer 0 has another window or rotary base/],
  ])('%j', (config, message) => {
    expect(() => familyOf(configOf(config))).toThrow(message);
  });

  it('a tokenizer that adds a run of marked spaces which its vocabulary does not have', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'moraine-gguf-'));
    const fixtures = join(import.meta.dirname, '../../../scripts/tokenizers/fixtures');
    copyFileSync(join(fixtures, 'gemma3.json'), join(dir, 'tokenizer.json'));
    const tokenizer = await loadBaseTokenizer(dir, 576);
    expect(() => tokenizerMetadata(dir, 576, tokenizer, missingBytes(dir))).toThrow(
      /added token 524, '▁▁▁', has marks of spaces/,
    );
  });
});
