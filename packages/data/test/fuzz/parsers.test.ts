import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AppError } from '@moraine/contract';
import { modelTensors, parseModelConfig } from '@moraine/contract/plan';
import { smallTokenizer } from '@moraine/testing';
import { afterAll, expect, test, vi } from 'vitest';
import { checkAdapter } from '../../src/check-adapter.js';
import { checkBase } from '../../src/check-base.js';
import { convertFile } from '../../src/convert/convert-file.js';
import { encodeFile } from '../../src/encode-file.js';
import { openTokenizer } from '../../src/tokenizer.js';
import { validateFile } from '../../src/validate-file.js';
import { createDamage, type Damage } from './damage.js';

// Whatever comes in a file, reading it ends, takes no memory to speak of, and what is wrong is said as an error of ours: anything else would be
// a 500. FUZZ_SEED and FUZZ_ROUNDS try others (npm run fuzz).
vi.setConfig({ testTimeout: 300_000 });
const SEED = Number(process.env.FUZZ_SEED ?? 1);
const ROUNDS = Number(process.env.FUZZ_ROUNDS ?? 150);
const GROWTH_BYTES_MAX = 256 * 2 ** 20;

const dir = mkdtempSync(join(tmpdir(), 'moraine-fuzz-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

type Files = Record<string, string | Buffer>;
const store = (files: Files) =>
  Object.entries(files).map(([name, bytes]) => {
    const path = join(dir, name);
    writeFileSync(path, bytes);
    return { name, path, sizeBytes: Buffer.byteLength(bytes) };
  });

/** Reads so many damaged inputs. What is thrown must be an error of ours, and not one that says that we are at fault. */
async function fuzz(stream: number, read: (damage: Damage, round: number) => Promise<unknown>, rounds = ROUNDS) {
  const before = process.memoryUsage.rss();
  const faults: string[] = [];
  const codes = new Map<string, number>();
  for (let round = 0; round < rounds; round++) {
    const damage = createDamage(SEED, stream * 1_000_000 + round);
    const code = await read(damage, round).then(
      () => 'good',
      (error: unknown) => {
        if (!(error instanceof AppError) || error.status >= 500)
          faults.push(`round ${round}: ${error instanceof Error ? error.stack : String(error)}`);
        return error instanceof AppError ? error.code : 'fault';
      },
    );
    codes.set(code, (codes.get(code) ?? 0) + 1);
  }
  expect(faults.slice(0, 3)).toEqual([]);
  expect(process.memoryUsage.rss() - before).toBeLessThan(GROWTH_BYTES_MAX);
  return codes;
}

const CONFIG = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  vocab_size: 8,
  hidden_size: 8,
  intermediate_size: 12,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  max_position_embeddings: 64,
  rms_norm_eps: 1e-5,
  rope_theta: 10_000,
  rope_scaling: { rope_type: 'linear', factor: 2 },
  tie_word_embeddings: true,
};
const FAMILIES = ['llama', 'mistral', 'qwen2', 'qwen3', 'olmo2', 'smollm3', 'gemma3_text'];

function safetensors(shapes: Iterable<readonly [string, readonly number[]]>, damage?: Damage): Buffer {
  let at = 0;
  const head: Record<string, unknown> = { __metadata__: { format: 'pt' } };
  for (const [name, shape] of shapes) {
    const begin = at;
    at += 4 * shape.reduce((a, b) => a * b, 1);
    head[name] = { dtype: 'F32', shape, data_offsets: [begin, at] };
  }
  const text = Buffer.from(damage ? damage.json(JSON.stringify(head)) : JSON.stringify(head), 'latin1');
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, Buffer.alloc(at)]);
}
const SHAPES = modelTensors(parseModelConfig(CONFIG)).map(({ name, shape }) => [name, shape] as const);
const BASE: Files = {
  'config.json': JSON.stringify(CONFIG),
  'model.safetensors': safetensors(SHAPES),
  ...smallTokenizer(8),
};

test('config.json of every family', async () => {
  const codes = await fuzz(1, async (damage) => {
    const config = damage.json(
      JSON.stringify({ ...CONFIG, architectures: undefined, model_type: damage.pick(FAMILIES) }),
    );
    await checkBase(store({ ...BASE, 'config.json': config }));
  });
  expect(codes.get('invalid_base')).toBeGreaterThan(ROUNDS / 3);
});

test('safetensors: header and bytes', async () => {
  const codes = await fuzz(2, async (damage) => {
    const weights = damage.chance(0.5) ? safetensors(SHAPES, damage) : damage.bytes(safetensors(SHAPES));
    await checkBase(store({ ...BASE, 'model.safetensors': weights }));
  });
  expect(codes.get('invalid_base')).toBeGreaterThan(ROUNDS / 3);
});

test('the index of shards', () =>
  fuzz(3, async (damage) => {
    const index = { weight_map: Object.fromEntries(SHAPES.map(([name]) => [name, 'model.safetensors'])) };
    await checkBase(store({ ...BASE, 'model.safetensors.index.json': damage.json(JSON.stringify(index)) }));
  }));

const shipped = join(import.meta.dirname, '../../../../examples/base');
const TOKENIZERS = [String(BASE['tokenizer.json']), readFileSync(join(shipped, 'tokenizer.json'), 'utf8')];
test('tokenizer.json and the files beside it', () =>
  fuzz(4, async (damage) => {
    const tokenizer = damage.pick(TOKENIZERS);
    const beside = {
      eos_token: '</s>',
      bos_token: null,
      added_tokens_decoder: {},
      chat_template: '{{ messages }}',
      add_bos_token: true,
    };
    await checkBase(
      store({
        ...BASE,
        'tokenizer.json': damage.chance(0.7) ? damage.json(tokenizer) : tokenizer,
        'tokenizer_config.json': damage.chance(0.5) ? damage.json(JSON.stringify(beside)) : JSON.stringify(beside),
      }),
    );
  }));

const PIECES = [
  ...[
    '{{ ',
    ' }}',
    '{% ',
    ' %}',
    '{%- ',
    ' -%}',
    '{# ',
    ' #}',
    'if ',
    'else',
    'endif',
    'for m in messages',
    'endfor',
    'set x = ',
  ],
  ...[
    'macro a(b)',
    'endmacro',
    'a(1)',
    'messages',
    'm',
    'm.content',
    "m['role']",
    'loop.index',
    'bos_token',
    'namespace(a=1)',
    'x',
  ],
  ...[
    "'text'",
    '1',
    '-1',
    '1.5',
    '0',
    '[]',
    '{}',
    "{'a': 1}",
    '[1, 2]',
    'none',
    'true',
    '(',
    ')',
    '[',
    ']',
    ':',
    ',',
    '.',
    '~',
    '+',
  ],
  ...[
    '*',
    '**',
    '/',
    '//',
    '%',
    '==',
    'in',
    'not ',
    'and ',
    'is defined',
    'is string',
    '|',
    ' | ',
    'length',
    'trim',
    'tojson',
    'join',
  ],
  ...[
    "replace('a', 'b')",
    'first',
    'last',
    'upper',
    'list',
    'items()',
    'split()',
    "strftime_now('%Y')",
    "raise_exception('no')",
  ],
  ...[
    'range(9)',
    'range(99999999)',
    '99999999',
    "'x' * 9999",
    "'%99999999d' % 1",
    '\n',
    '\u0000',
    '"',
    "'",
    '\\',
    'é',
    '{{',
    '{%',
  ],
];
test('chat templates', async () => {
  const reading = async (name: string) => (typeof BASE[name] === 'string' ? BASE[name] : null);
  const codes = await fuzz(
    5,
    async (damage) => {
      const expression = () => Array.from({ length: damage.int(1, 5) }, () => damage.pick(PIECES)).join(' ');
      const source = damage.chance(0.5)
        ? Array.from({ length: damage.int(1, 25) }, () => damage.pick(PIECES)).join('')
        : `{% for m in messages %}{{ ${expression()} }}{% if ${expression()} %}{{ m.content | ${damage.pick(PIECES)} }}{% endif %}{% endfor %}`;
      const tokenizer = await openTokenizer(async (name) => (name === 'chat_template.jinja' ? source : reading(name)));
      tokenizer.chatTemplate.render([{ role: 'user', content: 'aé\n<s>' }], {
        addGenerationPrompt: damage.chance(0.5),
      });
    },
    6 * ROUNDS,
  );
  expect(codes.get('good')).toBeGreaterThan(0);
});

const CALL = { id: 'c1', type: 'function', function: { name: 'f', arguments: '{"a": 1}' } };
const ROWS = [
  { text: 'Once upon a time' },
  { prompt: 'Two and two is', completion: ' four.' },
  {
    messages: [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'Hello' },
      { role: 'assistant', content: null, tool_calls: [CALL], weight: 1 },
      { role: 'tool', tool_call_id: 'c1', content: '1' },
      { role: 'assistant', content: 'Hi', reasoning_content: 'hm' },
    ],
    tools: [
      {
        type: 'function',
        function: { name: 'f', parameters: { type: 'object', properties: { a: { type: 'number' } } } },
      },
    ],
  },
];
test('JSON lines: checked, encoded and converted', async () => {
  const tokenizer = await openTokenizer(async (name) => (typeof BASE[name] === 'string' ? BASE[name] : null));
  const codes = await fuzz(6, async (damage, round) => {
    const row = damage.pick(ROWS);
    const lines = Array.from({ length: damage.int(1, 6) }, () =>
      damage.chance(0.6) ? JSON.stringify(row) : damage.json(JSON.stringify(row)),
    );
    const text = Buffer.from(lines.join(damage.pick(['\n', '\r\n', '\n\n', '\n \n'])));
    const file = join(dir, 'rows.jsonl');
    writeFileSync(file, damage.chance(0.3) ? damage.bytes(text) : text);
    const { errors } = await validateFile(file);
    if (errors.length === 0)
      await encodeFile(file, tokenizer, { maxSeqLen: 64, overLength: damage.pick(['drop', 'truncate', 'error']) });
    await convertFile(file, join(dir, `out-${round}.jsonl`));
  });
  expect(codes.get('good')).toBeGreaterThan(0);
});

test('CSV', () =>
  fuzz(7, async (damage, round) => {
    const file = join(dir, 'rows.csv');
    writeFileSync(file, damage.bytes(Buffer.from('prompt,completion\n"a ""quoted"" one",b\nc,"d\ne"\nf,g\n')));
    await convertFile(file, join(dir, `csv-${round}.jsonl`), { skipsBad: damage.chance(0.5) });
  }));

const tables = join(import.meta.dirname, '../../../../scripts/parquet/fixtures');
const TABLES = readdirSync(tables).filter((name) => name.endsWith('.parquet'));
test('Parquet', () =>
  fuzz(8, async (damage, round) => {
    const table = readFileSync(join(tables, damage.pick(TABLES)));
    const file = join(dir, 'rows.parquet');
    // The footer says where everything is: most of what goes wrong, goes wrong there.
    const from = damage.chance(0.6) ? Math.max(0, table.length - 1_500) : 0;
    writeFileSync(file, Buffer.concat([table.subarray(0, from), damage.bytes(table.subarray(from))]));
    await convertFile(file, join(dir, `table-${round}.jsonl`));
  }));

test('adapters', async () => {
  const config = {
    peft_type: 'LORA',
    r: 2,
    lora_alpha: 4,
    target_modules: ['q_proj'],
    bias: 'none',
    task_type: 'CAUSAL_LM',
    lora_dropout: 0,
  };
  const path = 'base_model.model.model.layers.0.self_attn.q_proj';
  const weights = [
    [`${path}.lora_A.weight`, [2, 8]],
    [`${path}.lora_B.weight`, [8, 2]],
  ] as const;
  const codes = await fuzz(9, async (damage) => {
    const json: unknown = JSON.parse(
      damage.chance(0.5) ? JSON.stringify(config) : safeJson(damage, JSON.stringify(config)),
    );
    if (typeof json !== 'object' || json === null) return;
    const tensors = damage.chance(0.4)
      ? safetensors(weights)
      : damage.chance(0.5)
        ? safetensors(weights, damage)
        : damage.bytes(safetensors(weights));
    const files = store({ 'adapter_config.json': JSON.stringify(config), 'adapter_model.safetensors': tensors });
    checkAdapter({
      files,
      configName: 'adapter_config.json',
      json: json as Record<string, unknown>,
      baseConfig: CONFIG,
    });
  });
  expect(codes.get('unsupported_format')).toBeGreaterThan(0);
});

/** Damaged JSON that is still some. */
function safeJson(damage: Damage, text: string): string {
  for (;;) {
    const damaged = damage.json(text);
    try {
      JSON.parse(damaged);
      return damaged;
    } catch {}
  }
}
