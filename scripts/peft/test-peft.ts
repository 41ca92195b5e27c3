/**
 * `npm run test:peft`: trains with every method through the API of a stack of its own, downloads what the API gives, and compares
 * our logits with those of transformers and PEFT. Needs .venv/peft, which it makes (several GB).
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { createReadStream, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { ExportFormat } from '@moraine/contract';
import { createClient } from '@moraine/contract/client';
import { encodeFile, loadTokenizer } from '@moraine/data';
import { loadTf, type Tensor, writeSafetensors } from '@moraine/engine';
import { adapterNet, createNet, forward, type Net, toDevice } from '@moraine/lm';
import { type Base, loadBase, type ReadAdapter, readAdapter, readAdapterAt, readWeight } from '@moraine/recipes';
import OpenAI from 'openai';
import { referencePython } from './environment.js';

const root = resolve(import.meta.dirname, '../..');
const work = mkdtempSync(join(tmpdir(), 'moraine-peft-'));
const cli = join(root, 'apps/cli/bin/moraine.mjs');
const stackEnv = { ...process.env, MORAINE_DATA: join(work, 'data') };
const baseDir = join(root, 'examples/base');
const SECONDS_TO_START = 120;

/** Address and key of the stack, once it answers. */
async function address(): Promise<{ baseURL: string; apiKey: string }> {
  for (let second = 0; second < SECONDS_TO_START; second++) {
    const { status, stdout } = spawnSync('node', [cli, 'env'], { env: stackEnv, encoding: 'utf8' });
    const value = (name: string) => new RegExp(`${name}=['"]?([^'"\\s]+)`).exec(stdout)?.[1] ?? '';
    const baseURL = status === 0 ? value('OPENAI_BASE_URL') : '';
    const isReady = baseURL !== '' && (await fetch(new URL('/readyz', baseURL)).catch(() => null))?.ok;
    if (isReady) return { baseURL, apiKey: value('OPENAI_API_KEY') };
    await new Promise((done) => setTimeout(done, 1000));
  }
  throw new Error(`The stack did not start within ${SECONDS_TO_START} s.`);
}

/** Every method that PEFT reads or that has a merged model to compare. */
const METHODS: { name: string; adapter: Record<string, unknown>; formats: ('native' | 'peft' | 'merged')[] }[] = [
  { name: 'lora', adapter: { type: 'lora', rank: 8, alpha: 16 }, formats: ['native', 'peft', 'merged'] },
  { name: 'pissa', adapter: { type: 'pissa', rank: 8, alpha: 16 }, formats: ['native', 'peft', 'merged'] },
  { name: 'dora', adapter: { type: 'dora', rank: 8, alpha: 16 }, formats: ['native', 'peft', 'merged'] },
  { name: 'hira', adapter: { type: 'hira', rank: 8 }, formats: ['native', 'peft', 'merged'] },
  { name: 'miss', adapter: { type: 'miss', rank: 8 }, formats: ['native', 'peft', 'merged'] },
  { name: 'oft', adapter: { type: 'oft' }, formats: ['native', 'peft', 'merged'] },
  { name: 'oft-cayley', adapter: { type: 'oft', rotation: 'cayley' }, formats: ['native', 'peft', 'merged'] },
  { name: 'gralora', adapter: { type: 'gralora', rank: 8 }, formats: ['native', 'peft', 'merged'] },
  {
    name: 'lora and modules',
    adapter: { type: 'lora', rank: 8, modules_to_save: ['norms', 'embeddings'] },
    formats: ['native', 'peft', 'merged'],
  },
  { name: 'remora', adapter: { type: 'mora', rank: 8, restart: { every: 7 } }, formats: ['native', 'merged'] },
  { name: 'mora-1', adapter: { type: 'mora', rank: 8, mora_type: 1 }, formats: ['native', 'peft', 'merged'] },
  { name: 'mora-6', adapter: { type: 'mora', rank: 8, mora_type: 6 }, formats: ['native', 'merged'] },
];

/** The net that the downloaded native adapter makes of the base. */
const adapted = (dir: string): Net => netOf(readAdapter(dir, loadBase(baseDir).config));

function netOf({ adapter, variables }: Pick<ReadAdapter, 'adapter' | 'variables'>): Net {
  const base = loadBase(baseDir);
  const onDevice = new Map([...variables].map(([name, value]) => [name, toDevice(value)]));
  return adapterNet(base.config, frozenWeights(base), adapter, onDevice);
}

function frozenWeights(base: Base): Map<string, Tensor> {
  return new Map([...base.weights.keys()].map((name) => [name, toDevice(readWeight(base, name))]));
}

function writeLogits(name: string, net: Net, ids: number[][]): string {
  const tf = loadTf();
  const { config } = loadBase(baseDir);
  const [rows, time] = [ids.length, ids[0]?.length ?? 0];
  const data = tf.tidy(() => {
    const flat = tf.tensor2d(Int32Array.from(ids.flat()), [rows, time], 'int32');
    return Float32Array.from(forward(net, config, { ids: flat }).dataSync());
  });
  const file = join(work, `${name}.safetensors`);
  writeSafetensors(file, new Map([['logits', { shape: [rows, time, config.vocabSize], data }]]));
  return file;
}

const interpreter = referencePython();
const stack = spawn('node', [cli, 'up'], { env: stackEnv, stdio: 'ignore' });
try {
  const { baseURL, apiKey } = await address();
  const openai = new OpenAI({ baseURL, apiKey });
  const client = createClient({ origin: new URL(baseURL).origin, apiKey });
  execFileSync('node', [cli, 'models', 'add', 'tiny', baseDir], { env: stackEnv, stdio: 'inherit' });
  const train = join(root, 'examples/tasks/record-train.jsonl');
  const file = await openai.files.create({ file: createReadStream(train), purpose: 'fine-tune' });
  await openai.files.waitForProcessing(file.id, { pollInterval: 200 });

  const tokenizer = await loadTokenizer(baseDir);
  const { rows } = await encodeFile(train, tokenizer, { maxSeqLen: 64 });
  const time = 40;
  const ids = rows
    .filter((row) => row.ids.length >= time)
    .slice(0, 4)
    .map((row) => row.ids.slice(0, time));
  const base = loadBase(baseDir);
  const baseNet = createNet({ weights: frozenWeights(base) });
  const cases: Record<string, unknown>[] = [
    { name: 'base', base: baseDir, adapter: null, ids, logits: writeLogits('base', baseNet, ids) },
  ];
  for (const { name, adapter, formats } of METHODS) {
    const body = { model: 'tiny', training_file: file.id, seed: 1, adapter, max_steps: 20, batch_size: 8 };
    let job = await openai.fineTuning.jobs.create(body);
    while (!['succeeded', 'failed', 'cancelled'].includes(job.status)) {
      await new Promise((done) => setTimeout(done, 500));
      job = await openai.fineTuning.jobs.retrieve(job.id);
    }
    if (job.status !== 'succeeded') throw new Error(`${name} ended ${job.status}: ${job.error?.message ?? ''}`);
    const dirs: Record<string, string> = {};
    const download = async (query: { format: ExportFormat; lambda?: number; rank?: number }): Promise<string> => {
      const response = await client.call('getRunAdapter', { params: { id: job.id }, query });
      const dir = join(work, `${name}-${query.format}-${query.lambda ?? 1}`);
      mkdirSync(dir);
      writeFileSync(`${dir}.tar`, Buffer.from(await response.arrayBuffer()));
      execFileSync('tar', ['-xf', `${dir}.tar`, '-C', dir]);
      return dir;
    };
    for (const format of formats) dirs[format] = await download({ format });
    const logits = writeLogits(name, adapted(dirs.native ?? ''), ids);
    if (dirs.peft) cases.push({ name: `${name} adapter through PEFT`, base: baseDir, adapter: dirs.peft, ids, logits });
    cases.push({ name: `${name} merged model`, base: dirs.merged, adapter: null, ids, logits });
    // At the rank of the layers a LoRA misses nothing of any update.
    const whole = await download({ format: 'lora', rank: 128 });
    cases.push({ name: `${name} as a LoRA through PEFT`, base: baseDir, adapter: whole, ids, logits });
    const half = readAdapterAt(dirs.native ?? '', base, 0.5);
    const part = half && writeLogits(`${name} at 0.5`, netOf(half), ids);
    const shared = await download({ format: 'merged', lambda: 0.5 });
    cases.push({ name: `${name} merged at lambda 0.5`, base: shared, adapter: null, ids, logits: part });
  }
  const list = join(work, 'cases.json');
  writeFileSync(list, JSON.stringify(cases));
  const { status } = spawnSync(interpreter, [join(root, 'scripts/peft/compare.py'), list], { stdio: 'inherit' });
  process.exitCode = status ?? 1;
} finally {
  const ended = new Promise((done) => stack.once('exit', done));
  stack.kill('SIGINT');
  await ended;
  rmSync(work, { recursive: true, force: true });
}
