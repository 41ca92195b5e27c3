/**
 * `npm run paper:NAME`: one of the papers' experiments from its rows to `docs/experiments/NAME.md` with figures and CSV. It starts a stack of its own in `.data/papers/stack`,
 * runs `configs/experiments/NAME.yaml` there and stops it. Killed at any time and run again it goes on.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { createClient } from '@moraine/contract/client';
import { loadTokenizer } from '@moraine/data';
import { runningStack } from 'moraine/up';
import { SOURCE_SEED } from '../../corpus/corpus.js';
import { writeDocument } from '../../corpus/documents.js';
import { codeRows } from './code-rows.js';

const root = resolve(import.meta.dirname, '../../..');
const papers = join(root, '.data/papers');
const dataDir = join(papers, 'stack');
const NAMES = ['cpt', 'cpt-replay', 'ift', 'operators', 'rates', 'rates-lion', 'targets'] as const;
/** Tokens of a row: the context of the base, less the token that ends it. */
const TOKENS_MAX = 255;
const REPLAY_ROWS = 1000;

/** The rows of the continued pre-training, once: they must stay what they are while the experiment goes on, though the sources change. */
async function writeCodeRows(): Promise<void> {
  const folder = join(papers, 'cpt');
  if (existsSync(folder)) return;
  const draft = `${folder}.part`;
  mkdirSync(draft, { recursive: true });
  const tokenizer = await loadTokenizer(join(root, 'examples/base'));
  const rows = codeRows(root, (text) => tokenizer.encode(text), TOKENS_MAX);
  const replay = Array.from({ length: REPLAY_ROWS }, (_, i) => ({
    text: writeDocument(SOURCE_SEED, 1_000_000 + i).text,
  }));
  for (const [name, part] of Object.entries({ ...rows, replay }))
    writeFileSync(join(draft, `${name}.jsonl`), part.map((row) => `${JSON.stringify(row)}\n`).join(''));
  renameSync(draft, folder);
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
  while (!runningStack(dataDir)) {
    if (up.exitCode !== null) throw new Error('The stack did not start; what it said is above.');
    await new Promise((wake) => setTimeout(wake, 500));
  }
  return async () => {
    const ended = once(up, 'exit');
    up.kill('SIGINT');
    await ended;
  };
}

async function idOf(name: string): Promise<string> {
  const address = runningStack(dataDir);
  if (!address) throw new Error('The stack is gone.');
  const { data } = await createClient(address).call('listExperiments', { query: { limit: 100 } });
  const found = data.find((one) => one.name === name && one.status !== 'cancelled');
  if (!found) throw new Error(`There is no experiment '${name}'.`);
  return found.id;
}

/** Report, tables and figures, each into a file that the report's page links. */
async function writeResults(name: string, id: string): Promise<void> {
  const folder = join(root, 'docs/experiments', name);
  mkdirSync(folder, { recursive: true });
  const page = join(root, 'docs/experiments', `${name}.md`);
  const files = [
    ['report', 'md', page],
    ['table', 'csv', join(folder, 'table.csv')],
    ['curves', 'csv', join(folder, 'curves.csv')],
    ['curves', 'svg', join(folder, 'curves.svg')],
    ['frontier', 'csv', join(folder, 'frontier.csv')],
    ['frontier', 'svg', join(folder, 'frontier.svg')],
  ] as const;
  for (const [what, format, out] of files)
    if ((await moraine('experiments', what, id, '--format', format, '--out', out)) !== 0)
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
  writeFileSync(page, `${readFileSync(page, 'utf8').trimEnd()}\n\n${figures.join('\n')}\n`);
}

const name = NAMES.find((one) => one === process.argv[2]);
if (name === undefined) throw new Error(`Name one of ${NAMES.join(', ')}.`);
mkdirSync(dataDir, { recursive: true });
if (name.startsWith('cpt')) await writeCodeRows();
const stop = await startStack();
try {
  const status = await moraine('experiments', 'run', join(root, 'configs/experiments', `${name}.yaml`));
  await writeResults(name, await idOf(name));
  process.exitCode = status;
} finally {
  await stop();
}
