/**
 * `npm run test:gguf [-- NAME …]`: merged models as GGUF in llama.cpp, through node-llama-cpp: the same ids on 20 texts and the same 32 greedy tokens as
 * here. A base of the project with a LoRA merged into it, random ones of each family, and the models of ../shared/data where it is there.
 */

import { execFileSync } from 'node:child_process';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { loadBaseTokenizer } from '@moraine/data';
import { createModel, logitsOf } from '@moraine/lm';
import { ggufOfFolder, loadBase, readWeight } from '@moraine/recipes';
import { openLlama } from './llama-cpp.js';
import { RANDOM_MODELS, writeRandomModel } from './models.js';

const root = resolve(import.meta.dirname, '../..');
const shared = resolve(root, '../shared/data/models/tinystories-656k-llama');
const work = mkdtempSync(join(tmpdir(), 'moraine-gguf-'));
const TOKENS = 32;
/** llama.cpp keeps keys, values and products in float16: logits that are nearer than this share of the largest may change places. */
const TIE = 5e-3;
const texts = [
  ...(JSON.parse(readFileSync(join(root, 'scripts/tokenizers/texts.json'), 'utf8')) as string[]).filter(
    (text) => text.trim().length > 3 && text.length < 300 && text === text.normalize('NFC'),
  ),
  'Once upon a time there was a little girl named Lily.',
  'The year 1984, in words: nineteen eighty-four.\nIt was 3.14 times as long.',
].slice(-20);

/** The 32 likeliest tokens, one after the other, of the model here. */
async function greedyHere(dir: string, prompt: number[]): Promise<number[]> {
  const { config, weights } = loadBase(dir);
  const contextMax = prompt.length + TOKENS;
  const generation = { batches: [1], prefillTimes: [prompt.length], contextMax };
  const model = await createModel({ config, weights, mode: 'plain', generation });
  try {
    const plain = { temperature: 0, topP: 1, topK: 0, seed: 1, stop: [], stopIds: [], decode: () => '' };
    const [answer] = (await model.generator?.generate([prompt], { maxNewTokens: TOKENS, ...plain })) ?? [];
    return answer?.ids ?? [];
  } finally {
    model.dispose();
  }
}

async function writeGguf(dir: string, name: string): Promise<string> {
  const file = join(work, `${name.replaceAll(/\W+/g, '-')}.gguf`);
  const { pieces } = await ggufOfFolder(dir, name);
  const to = openSync(file, 'w');
  for (const piece of pieces()) for (let done = 0; done < piece.length; ) done += writeSync(to, piece, done);
  closeSync(to);
  return file;
}

const llama = await openLlama();

/** What differs, in words; empty where nothing does. */
async function compare(dir: string, name: string): Promise<string[]> {
  const tokenizer = await loadBaseTokenizer(dir, loadBase(dir).config.vocabSize);
  const model = await llama.loadModel({ modelPath: await writeGguf(dir, name), gpuLayers: 0 });
  const differences: string[] = [];
  for (const text of texts) {
    const [ours, theirs] = [tokenizer.encode(text), [...model.tokenize(text)]];
    if (ours.join() !== theirs.join() && isSharedWay(dir, text, ours))
      differences.push(`${JSON.stringify(text)}: ${ours.join(' ')} | ${theirs.join(' ')}`);
  }
  const prompt = tokenizer.encode('Once upon a time there was a little', { addSpecialTokens: true });
  const ours = await greedyHere(dir, prompt);
  const context = await model.createContext({ contextSize: 256 });
  const theirs: number[] = [];
  for await (const token of context.getSequence().evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
    theirs.push(token);
    if (theirs.length === TOKENS) break;
  }
  await context.dispose();
  await model.dispose();
  const at = ours.findIndex((token, i) => token !== theirs[i]);
  if (at >= 0) {
    const gap = gapOf(dir, [...prompt, ...ours.slice(0, at)], ours[at] ?? 0, theirs[at] ?? 0);
    const said = `token ${at + 1} is ${ours[at]} here and ${theirs[at]} there, whose logits are ${gap.toExponential(1)} of the largest apart`;
    if (Math.abs(gap) > TIE) differences.push(said);
    else process.stdout.write(`       a tie: ${said}\n`);
  }
  return differences;
}

/**
 * Whether llama.cpp reads a text as Hugging Face does, as docs/gguf.md has it: not one that begins with a space under a Metaspace, nor one with an unknown
 * token, which has bytes of the file's own there.
 */
function isSharedWay(dir: string, text: string, ids: readonly number[]): boolean {
  const { pre_tokenizer: pre, model } = JSON.parse(readFileSync(join(dir, 'tokenizer.json'), 'utf8'));
  return !(pre?.type === 'Metaspace' && text.startsWith(' ')) && !ids.includes(model.vocab[model.unk_token]);
}

/** How much likelier one token is than another after these, as a share of the largest logit. */
function gapOf(dir: string, ids: number[], one: number, other: number): number {
  const base = loadBase(dir);
  const { data, shape } = logitsOf({ config: base.config, weightOf: (name) => readWeight(base, name) }, [ids]);
  const last = data.subarray((ids.length - 1) * (shape[1] ?? 0));
  return (
    ((last[one] ?? Number.NaN) - (last[other] ?? Number.NaN)) / last.reduce((most, x) => Math.max(most, Math.abs(x)), 0)
  );
}

try {
  const only = process.argv.slice(2);
  const isAsked = (name: string): boolean => only.length === 0 || only.some((part) => name.includes(part));
  const merged = join(work, 'merged');
  const data = join(root, 'examples/tasks/record-train.jsonl');
  const train = [
    '--base',
    join(root, 'examples/base'),
    '--data',
    data,
    '--steps',
    '10',
    '--batch-size',
    '8',
    '--seed',
    '1',
  ];
  const dirs = new Map<string, string>();
  if (isAsked('a LoRA merged into moraine-tiny')) {
    execFileSync('node', [
      join(root, 'apps/cli/bin/moraine.mjs'),
      'local',
      'train',
      ...train,
      '--out',
      merged,
      '--json',
    ]);
    dirs.set('a LoRA merged into moraine-tiny', join(merged, 'merged'));
  }
  for (const name of Object.keys(RANDOM_MODELS).filter(isAsked)) {
    writeRandomModel(join(work, name), name);
    dirs.set(name, join(work, name));
  }
  if (existsSync(shared) && isAsked('tinystories-656k-llama')) dirs.set('tinystories-656k-llama', shared);
  let failed = 0;
  for (const [name, dir] of dirs) {
    const differences = await compare(dir, name).catch((error: Error) => [error.message]);
    if (differences.length > 0) failed++;
    process.stdout.write(
      `${differences.length > 0 ? 'FAILED' : 'ok    '} ${name}: ${texts.length} texts, ${TOKENS} tokens\n`,
    );
    for (const difference of differences) process.stdout.write(`       ${difference}\n`);
  }
  process.stdout.write(`${dirs.size - failed} passed, ${failed} failed\n`);
  process.exitCode = failed > 0 ? 1 : 0;
} finally {
  rmSync(work, { recursive: true, force: true });
}
