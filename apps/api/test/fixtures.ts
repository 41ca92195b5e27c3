import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newId } from '@moraine/contract';
import {
  claimRun,
  finishAttempt,
  finishEvaluation,
  ingestMetrics,
  markEvaluating,
  recordCheckpoint,
  recordExports,
  recordItems,
  recordLogs,
  recordResultFile,
  registerWorker,
  type Services,
  startAttempt,
} from '@moraine/services';
import { chatRows, fileForm, type TestApi, type Wire } from './support.js';

/** The table of a run, as the recipes write it. */
export const RESULTS = 'step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy\n10,0.3,0.5,,\n';

const HIDDEN = 16;
const WIDTH = 32;
const VOCAB = 258;

const CONFIG = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  hidden_size: HIDDEN,
  intermediate_size: WIDTH,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 2,
  vocab_size: VOCAB,
  max_position_embeddings: 128,
  rms_norm_eps: 1e-5,
  tie_word_embeddings: true,
  torch_dtype: 'float32',
};

const SHAPES: Record<string, number[]> = {
  'model.embed_tokens.weight': [VOCAB, HIDDEN],
  'model.norm.weight': [HIDDEN],
  'model.layers.0.input_layernorm.weight': [HIDDEN],
  'model.layers.0.post_attention_layernorm.weight': [HIDDEN],
  ...Object.fromEntries(
    ['q', 'k', 'v', 'o'].map((name) => [`model.layers.0.self_attn.${name}_proj.weight`, [HIDDEN, HIDDEN]]),
  ),
  'model.layers.0.mlp.gate_proj.weight': [WIDTH, HIDDEN],
  'model.layers.0.mlp.up_proj.weight': [WIDTH, HIDDEN],
  'model.layers.0.mlp.down_proj.weight': [HIDDEN, WIDTH],
};

/** A safetensors file of zeros: length of the header, header, values. */
export function safetensors(shapes: Record<string, number[]> = SHAPES): Uint8Array<ArrayBuffer> {
  let at = 0;
  const header = Object.fromEntries(
    Object.entries(shapes).map(([name, shape]) => {
      const begin = at;
      at += 4 * shape.reduce((a, b) => a * b, 1);
      return [name, { dtype: 'F32', shape, data_offsets: [begin, at] }];
    }),
  );
  const text = new TextEncoder().encode(JSON.stringify(header));
  const bytes = new Uint8Array(8 + text.length + at);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  return bytes;
}

/** GPT-2's letters for the 256 bytes, as byte-level tokenizers spell them. */
function byteLetters(): string[] {
  const plain = (byte: number) => (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(plain(byte) ? byte : next++));
}

const TOKENIZER = {
  version: '1.0',
  truncation: null,
  padding: null,
  added_tokens: ['<s>', '</s>'].map((content, i) => ({
    id: 256 + i,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  })),
  normalizer: null,
  pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
  post_processor: null,
  decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
  model: {
    type: 'BPE',
    dropout: null,
    unk_token: null,
    vocab: Object.fromEntries([...byteLetters(), '<s>', '</s>'].map((letter, i) => [letter, i])),
    merges: [],
  },
};

const CHAT_TEMPLATE =
  "{% for m in messages %}<s>{{ m['role'] }}\n{% generation %}{{ m['content'] }}</s>{% endgeneration %}\n{% endfor %}{% if add_generation_prompt %}<s>assistant\n{% endif %}";

/** The files of a Llama of 1 layer and 16 features, all zeros. */
export const baseFiles = (): Record<string, string | Uint8Array<ArrayBuffer>> => ({
  'config.json': JSON.stringify(CONFIG),
  'model.safetensors': safetensors(),
  'tokenizer.json': JSON.stringify(TOKENIZER),
  'tokenizer_config.json': JSON.stringify({
    tokenizer_class: 'PreTrainedTokenizerFast',
    bos_token: '<s>',
    eos_token: '</s>',
    chat_template: CHAT_TEMPLATE,
  }),
});

export function baseForm(name: string, files = baseFiles()): FormData {
  const form = new FormData();
  for (const [path, bytes] of Object.entries(files)) form.append('files', new Blob([bytes]), path);
  form.append('name', name);
  return form;
}

/** Registers the tiny base and uploads rows to train on. */
export async function prepare({ ask }: Pick<TestApi, 'ask'>): Promise<{ model: string; file: string }> {
  const base = await ask('POST', '/v1/bases', { body: baseForm('tiny') });
  if (base.status !== 200) throw new Error(base.text);
  const file = await ask('POST', '/v1/files', { body: fileForm(chatRows(8)) });
  if (file.json.status !== 'processed') throw new Error(file.text);
  return { model: base.json.id, file: file.json.id };
}

/** Queues a run of ten steps on the tiny base. */
export async function submit(
  { ask }: Pick<TestApi, 'ask'>,
  { model, file }: { model: string; file: string },
  extra: object = {},
): Promise<Wire> {
  const body = { model, training_file: file, max_steps: 10, batch_size: 2, adapter: { rank: 2 }, ...extra };
  const run = await ask('POST', '/v1/fine_tuning/jobs', { body });
  if (run.status !== 200) throw new Error(run.text);
  return run.json;
}

/** A worker of this process, as the API sees it. */
export function registerTestWorker(
  s: Services,
  more: Partial<Parameters<typeof registerWorker>[1]> = {},
): Promise<string> {
  return registerWorker(s, {
    name: 'test',
    pool: 'default',
    host: 'here',
    pid: process.pid,
    version: '0.1.0',
    device: { kind: 'cpu', name: 'test', tensorflow: null, bfloat16: null },
    cores: 1,
    memoryBytes: 1,
    ...more,
  });
}

/** Plays a worker that takes the next run and ends it: ten steps, two checkpoints, one evaluation, a native and a PEFT export. */
export async function train(s: Services, runId: string): Promise<void> {
  const workerId = await registerTestWorker(s);
  const claim = await claimRun(s, { workerId, pool: 'default' });
  if (claim?.token.taskId !== runId) throw new Error(`claimed ${claim?.token.taskId}, not ${runId}`);
  const { token } = claim;
  const dir = await mkdtemp(join(tmpdir(), 'moraine-train-'));
  await writeFile(join(dir, 'adapter_config.json'), '{"peft_type":"LORA"}');
  await writeFile(join(dir, 'adapter_model.safetensors'), safetensors({ w: [2, 2] }));
  await startAttempt(s, token, { startStep: 0 });
  for (let step = 1; step <= 10; step++)
    await ingestMetrics(s, token, [{ step, values: { train_loss: 3 / step, learning_rate: 1e-3 } }]);
  await recordLogs(s, token, [{ line: 1, at: Date.now(), level: 'info', message: 'ten steps done' }]);
  for (const step of [5, 10]) await recordCheckpoint(s, token, { step, dir, metrics: { train_loss: 3 / step } });
  await recordExports(s, token, [
    { kind: 'adapter', dir },
    { kind: 'peft', dir },
  ]);
  await recordResultFile(s, token, { id: newId('file'), csv: RESULTS });
  await finishAttempt(s, token, { step: 10, trainedTokens: 1234 });
  await rm(dir, { recursive: true });
}

/** Plays a worker that takes the next evaluation and scores these items of it. */
export async function playEvaluation(s: Services, rights: readonly boolean[]): Promise<void> {
  const workerId = await registerTestWorker(s);
  const claim = await claimRun(s, { workerId, pool: 'default' });
  if (claim?.kind !== 'evaluate') throw new Error('no evaluation');
  const total = rights.length;
  const where = { kind: 'cpu' as const, name: 'test', tensorflow: '2', threads: 1 };
  const asked = { from: 0, total, itemsSha256: 'same', fewshot: 0, secondsToReady: 1 };
  await markEvaluating(s, claim.token, { type: 'evaluating', at: 0, device: where, ...asked });
  const items = rights.map((isRight, index) => ({
    index,
    id: String(index),
    prompt: 'q',
    answer: null,
    expected: null,
    metrics: { nats: 2 + index, tokens: 4, text_nats: 1 + index, bytes: 8, correct: 1, exact_match: Number(isRight) },
    verdict: isRight ? ('right' as const) : ('wrong' as const),
  }));
  await recordItems(s, claim.token, items);
  await finishEvaluation(s, claim.token);
}
