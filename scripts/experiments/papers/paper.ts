/**
 * `npm run paper:NAME`: one of the papers' experiments from its rows to `docs/experiments/NAME.md` with figures and CSV. It starts a stack of its own in `.data/papers/stack`,
 * runs `configs/experiments/NAME.yaml` there and stops it. Killed at any time and run again it goes on. `-- --short` does a few steps of it with one seed, to see that all of it
 * runs; its report is in `.data/papers/short`.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { isTerminal } from '@moraine/contract';
import { type Client, createClient } from '@moraine/contract/client';
import { loadTokenizer } from '@moraine/data';
import { runningStack } from 'moraine/up';
import { parse as parseYaml } from 'yaml';
import { SOURCE_SEED } from '../../corpus/corpus.js';
import { writeDocument } from '../../corpus/documents.js';
import { codeRows } from './code-rows.js';
import { diversityCsv, diversityOf, diversitySvg, diversityText } from './diversity.js';
import { diversityRows } from './diversity-rows.js';
import { perplexityTable } from './perplexity.js';
import { pretrainRows, writeUntrainedBase } from './pretrain-rows.js';
import { type RankRun, rankCsv, rankMarkdown, rankSvg } from './rank.js';
import { sampleModels } from './sample-models.js';
import { type Experiment, shorten } from './shorten.js';

const root = resolve(import.meta.dirname, '../../..');
const papers = join(root, '.data/papers');
const dataDir = join(papers, 'stack');
const NAMES = [
  'cpt',
  'cpt-replay',
  'diversity',
  'ift',
  'operators',
  'pretrain',
  'rank',
  'rates',
  'rates-lion',
  'regular',
  'targets',
] as const;
/** Tokens of a row: the context of the base, less the token that ends it. */
const TOKENS_MAX = 255;
const REPLAY_ROWS = 1000;
const UNTRAINED = 'moraine-untrained';

/** The rows of the continued pre-training, once: they must stay what they are while the experiment goes on, though the sources change. */
async function writeCodeRows(): Promise<void> {
  await writeOnce('cpt', async (draft) => {
    const tokenizer = await loadTokenizer(join(root, 'examples/base'));
    const rows = codeRows(root, (text) => tokenizer.encode(text), TOKENS_MAX);
    const replay = Array.from({ length: REPLAY_ROWS }, (_, i) => ({
      text: writeDocument(SOURCE_SEED, 1_000_000 + i).text,
    }));
    for (const [name, part] of Object.entries({ ...rows, replay })) writeRows(join(draft, `${name}.jsonl`), part);
  });
}

/** The rows of the task with many right answers. */
const writeDiversity = (): Promise<void> =>
  writeOnce('diversity', async (draft) => {
    for (const [part, rows] of Object.entries(diversityRows())) writeRows(join(draft, `${part}.jsonl`), rows);
  });

/** The rows of the pre-training, and a base that has learned nothing. */
const writePretraining = (): Promise<void> =>
  writeOnce('pretrain', async (draft) => {
    for (const [part, rows] of Object.entries(pretrainRows())) writeRows(join(draft, `${part}.jsonl`), rows);
    writeUntrainedBase(join(draft, 'base'), join(root, 'examples/base'));
  });

/** A folder of the papers, whole or not there. */
async function writeOnce(name: string, write: (draft: string) => Promise<void>): Promise<void> {
  const folder = join(papers, name);
  if (existsSync(folder)) return;
  const draft = `${folder}.part`;
  mkdirSync(draft, { recursive: true });
  await write(draft);
  renameSync(draft, folder);
}

const writeRows = (file: string, rows: readonly object[]): void =>
  writeFileSync(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));

/** Registers the base that has learned nothing, where it is not yet. */
async function ensureUntrained(client: Client): Promise<void> {
  const there = await client.call('getModel', { params: { model: UNTRAINED } }).catch(() => null);
  if (there === null && (await moraine('models', 'add', UNTRAINED, join(papers, 'pretrain/base'))) !== 0)
    throw new Error('The random base was not registered.');
}

/** Runs a command of the command line with its output shown; resolves to its exit status. */
async function moraine(...words: string[]): Promise<number> {
  const child = start(words);
  const [status] = (await once(child, 'exit')) as [number | null];
  return status ?? 1;
}

const start = (words: string[]): ChildProcess =>
  spawn(process.execPath, [join(root, 'apps/cli/bin/moraine.mjs'), ...words, '--data', dataDir], { stdio: 'inherit' });

/** The stack of the papers, and how to stop it: one that runs already goes on. */
async function startStack(): Promise<() => Promise<void>> {
  if (runningStack(dataDir)) return async () => undefined;
  const up = start(['up', '--quiet']);
  while (!(await isReady())) {
    if (up.exitCode !== null) throw new Error('The stack did not start; what it said is above.');
    await new Promise((wake) => setTimeout(wake, 500));
  }
  return async () => {
    const ended = once(up, 'exit');
    up.kill('SIGINT');
    await ended;
  };
}

/** Whether its API answers; its file is there a little before. */
async function isReady(): Promise<boolean> {
  const address = runningStack(dataDir);
  if (!address) return false;
  const answer = await fetch(`${address.origin}/readyz`).catch(() => null);
  return answer?.ok === true;
}

function clientOfStack(): Client {
  const address = runningStack(dataDir);
  if (!address) throw new Error('The stack is gone.');
  return createClient(address);
}

async function idOf(name: string): Promise<string> {
  const { data } = await clientOfStack().call('listExperiments', { query: { limit: 100 } });
  const found = data.find((one) => one.name === name && one.status !== 'cancelled');
  if (!found) throw new Error(`There is no experiment '${name}'.`);
  return found.id;
}

/** Temperature of the paper; samples and prompts that a stack on two cores draws in minutes. */
const DRAWN = { samples: 32, temperature: 0.8, top_p: 1, seed: 0, ks: [1, 2, 4, 8, 16, 32] };
const DRAWN_SHORT = { ...DRAWN, samples: 4, ks: [1, 2, 4] };
const PROMPTS_SHORT = 4;

/** Draws answers from every final run and from the base; the page's own part, with its figure and rows beside it. */
async function diversityPart(name: string, id: string, folder: string): Promise<string> {
  const isShort = name.endsWith('-short');
  const sampling = isShort ? DRAWN_SHORT : DRAWN;
  const asked = {
    file: join(papers, 'diversity/asked.jsonl'),
    suite: 'pattern',
    limit: isShort ? PROMPTS_SHORT : null,
  };
  const sampled = await sampleModels(clientOfStack(), id, { ...asked, sampling });
  const models = sampled.map((model) => diversityOf(model, sampling.ks));
  writeFileSync(join(folder, 'samples.csv'), diversityCsv(models));
  writeFileSync(join(folder, 'samples.svg'), diversitySvg(models));
  const text = diversityText(models, `at temperature ${sampling.temperature}, seed ${sampling.seed}`);
  return `${text}\n\n![Samples](${name}/samples.svg)\n\nRows: [samples](${name}/samples.csv).`;
}

/** Report, tables and figures, each into a file that the report's page links. */
async function writeResults(name: string, id: string, out: string): Promise<void> {
  const folder = join(out, name);
  mkdirSync(folder, { recursive: true });
  const page = join(out, `${name}.md`);
  const files = [
    ['report', 'md', page],
    ['table', 'csv', join(folder, 'table.csv')],
    ['curves', 'csv', join(folder, 'curves.csv')],
    ['curves', 'svg', join(folder, 'curves.svg')],
    ['frontier', 'csv', join(folder, 'frontier.csv')],
    ['frontier', 'svg', join(folder, 'frontier.svg')],
  ] as const;
  for (const [what, format, file] of files)
    if ((await moraine('experiments', what, id, '--format', format, '--out', file)) !== 0)
      throw new Error(`No ${what}.`);
  const figures = [
    '## Figures',
    '',
    `![Learned and kept](${name}/frontier.svg)`,
    '',
    `![Scores over steps, and over rates](${name}/curves.svg)`,
    '',
    `Rows: [table](${name}/table.csv), [curves](${name}/curves.csv), [plane](${name}/frontier.csv). Written by \`npm run paper:${name}\`.`,
  ];
  const own = await ownSection(name, id, folder);
  const parts = [readFileSync(page, 'utf8').trimEnd(), ...(own === null ? [] : [own]), figures.join('\n')];
  writeFileSync(page, `${parts.join('\n\n')}\n`);
}

/** What a paper has beside the tables and figures of every experiment; null: nothing. */
async function ownSection(name: string, id: string, folder: string): Promise<string | null> {
  if (name.startsWith('pretrain'))
    return perplexityTable(await clientOfStack().call('getExperimentTable', { params: { id } }));
  if (name.startsWith('diversity')) return diversityPart(name, id, folder);
  if (!name.startsWith('rank')) return null;
  const runs = await rankRuns(id);
  writeFileSync(join(folder, 'rank.svg'), rankSvg(runs));
  writeFileSync(join(folder, 'rank.csv'), rankCsv(runs));
  const figure = `![Ranks over training and over blocks](${name}/rank.svg)`;
  return `${rankMarkdown(runs)}\n\n${figure}\n\nRows: [a layer and step each](${name}/rank.csv).`;
}

/** The course of the update of every final run. */
async function rankRuns(id: string): Promise<RankRun[]> {
  const client = clientOfStack();
  const { cells, arms } = await client.call('getExperiment', { params: { id } });
  const runs: RankRun[] = [];
  for (const { arm, phase, seed, run_id } of cells) {
    if (phase !== 'final' || run_id === null) continue;
    const course = await client.call('getRunAnalyses', { params: { id: run_id }, query: { kind: 'weights' } });
    const color = arms.find((one) => one.name === arm)?.method.color ?? 'base';
    if (course.kind === 'weights') runs.push({ arm, color, seed, course });
  }
  return runs;
}

/** Waits for the analyses of the final runs, which begin when their checkpoints are there; what failed is left out. */
async function untilMeasured(id: string): Promise<void> {
  const client = clientOfStack();
  const { cells } = await client.call('getExperiment', { params: { id } });
  for (const { phase, run_id: run, status, steps } of cells) {
    if (phase !== 'final' || run === null || status !== 'succeeded') continue;
    for (let isMeasured = false; !isMeasured; await new Promise((wake) => setTimeout(wake, 1000))) {
      const { data } = await client.call('listAnalyses', { query: { run, kind: 'weights', limit: 100 } });
      isMeasured = data.some(({ tuned }) => tuned?.step === steps) && data.every((one) => isTerminal(one.status));
    }
  }
}

/** The file of the experiment: the one of the repository, or a few steps of it. */
function fileOf(name: string, isShort: boolean): { file: string; title: string; out: string } {
  const file = join(root, 'configs/experiments', `${name}.yaml`);
  if (!isShort) return { file, title: name, out: join(root, 'docs/experiments') };
  const out = join(papers, 'short');
  mkdirSync(out, { recursive: true });
  const short = shorten(parseYaml(readFileSync(file, 'utf8')) as Experiment, join(root, 'configs/experiments'));
  writeFileSync(join(out, `${name}.json`), JSON.stringify(short, null, 2));
  return { file: join(out, `${name}.json`), title: short.name, out };
}

const name = NAMES.find((one) => one === process.argv[2]);
if (name === undefined) throw new Error(`Name one of ${NAMES.join(', ')}.`);
mkdirSync(dataDir, { recursive: true });
if (name.startsWith('cpt') || name === 'rank') await writeCodeRows();
if (name === 'pretrain') await writePretraining();
if (name === 'diversity') await writeDiversity();
const stop = await startStack();
try {
  if (name === 'pretrain') await ensureUntrained(clientOfStack());
  const { file, title, out } = fileOf(name, process.argv.includes('--short'));
  const status = await moraine('experiments', 'run', file);
  if (name === 'rank') await untilMeasured(await idOf(title));
  await writeResults(title, await idOf(title), out);
  process.exitCode = status;
} finally {
  await stop();
}
