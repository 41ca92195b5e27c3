import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { linearShapes } from '@moraine/contract/plan';
import { createMethod, type HostTensor, initialAdapter, type MethodOptions } from '@moraine/lm';
import { loadBase, openServed, readWeight, type Served } from '../../src/index.js';
import { type ConfigCase, units, writeWeights } from '../configs-set.js';
import { writeTinyTokenizer } from '../tiny-base.js';
import { writeVariables } from './trained-folders.js';

/** A generated base with what was trained on it, and what transformers and PEFT answer; see scripts/serving/greedy.py. */
export interface GreedyCase extends Pick<ConfigCase, 'config' | 'dtype' | 'stored'> {
  context: number;
  models: readonly GreedyModel[];
}

export interface GreedyModel {
  /** Null: the base. `none`: a full fine-tuning. */
  method: MethodOptions | { type: 'none' } | null;
  answers: readonly GreedyAnswer[];
}

export interface GreedyAnswer {
  prompt: number[];
  ids: number[];
  /** Natural logarithm. */
  logprobs: number[];
}

export const readGreedy = (file: string): GreedyCase[] => JSON.parse(readFileSync(file, 'utf8')) as GreedyCase[];

const SIZES: Record<string, number> = { lora: 0.5, mora: 0.4, dora: 0.5, hira: 1, oft: 0.3 };
const ROWS = 3;

/** What a server of the base with all that was trained on it answers to the case's prompts, asked at once. */
export async function servedAnswers(one: GreedyCase): Promise<GreedyAnswer[][]> {
  const baseDir = mkdtempSync(join(tmpdir(), 'moraine-greedy-'));
  writeTinyTokenizer(baseDir);
  writeModel(baseDir, one);
  const dirs = one.models.map(({ method }) => (method === null ? baseDir : writeTrained(baseDir, one, method)));
  const adapters = dirs.slice(1).map((dir, i) => ({ name: `${i + 1}`, dir }));
  const served = await openServed({ baseDir, baseName: '0', adapters, rows: ROWS, contextMax: one.context });
  try {
    return await Promise.all(
      one.models.map(({ answers }, i) =>
        Promise.all(answers.map(({ prompt, ids }) => answerOf(served, `${i}`, prompt, ids.length))),
      ),
    );
  } finally {
    served.dispose();
    for (const dir of dirs) rmSync(dir, { recursive: true });
  }
}

async function answerOf(served: Served, model: string, prompt: number[], tokens: number): Promise<GreedyAnswer> {
  const { ids, logprobs } = await served.begin(model, 1, prompt, { maxNewTokens: tokens }).completion;
  return { prompt, ids, logprobs };
}

function writeModel(dir: string, one: GreedyCase, prefix = ''): void {
  writeFileSync(join(dir, 'config.json'), JSON.stringify(one.config));
  writeWeights(dir, one, prefix);
}

function writeTrained(baseDir: string, one: GreedyCase, method: NonNullable<GreedyModel['method']>): string {
  if (method.type === 'none') {
    const dir = mkdtempSync(join(tmpdir(), 'moraine-greedy-'));
    writeModel(dir, one, 'full:');
    return dir;
  }
  const base = loadBase(baseDir);
  const paths = linearShapes(base.config).map(({ name }) => name);
  const adapter = { method: createMethod(method), paths, dropout: 0 };
  const start = initialAdapter(base.config, adapter, 0, (name) => readWeight(base, name));
  const variables = new Map([...start].map(([name, value]) => [name, moved(method.type, name, value)]));
  return writeVariables(base, adapter, variables);
}

/** A variable as a run might leave it: numbers of its own, but for a magnitude, which belongs to the weight. */
function moved(method: string, name: string, { shape, data }: HostTensor): HostTensor {
  const size = SIZES[method] ?? 0;
  const isMagnitude = name.endsWith('magnitude_vector');
  const shares = Float32Array.from(units(`${method}:${name}`, data.length));
  return { shape, data: shares.map((share, i) => (isMagnitude ? (data[i] ?? 0) * (1 + 0.2 * share) : size * share)) };
}

/** The largest difference of log-probabilities; infinite where a token is another. */
export function apart(ours: readonly GreedyAnswer[], theirs: readonly GreedyAnswer[]): number {
  return Math.max(
    0,
    ...theirs.map(({ ids, logprobs }, i) =>
      ids.join() === ours[i]?.ids.join()
        ? Math.max(...logprobs.map((value, at) => Math.abs(value - (ours[i]?.logprobs[at] ?? Number.NaN))))
        : Number.POSITIVE_INFINITY,
    ),
  );
}
