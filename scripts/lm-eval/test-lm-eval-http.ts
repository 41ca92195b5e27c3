/**
 * `npm run test:lm-eval-http`: lm_eval's `local-completions` against our POST /v1/completions beside its Hugging Face back end, item by item, on the choice items
 * of ../shared/data that fit the context, on two bases, one whose tokenizer adds a begin token. `--limit N` rows of each task, default 100; `--base NAME`. Needs
 * .venv/peft, which it makes.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createInference } from '@moraine/inference';
import { openServed, type Served } from '@moraine/recipes';
import { pino } from 'pino';
import { readSuite } from '../../packages/data/src/suites/index.js';
import { encodePair } from '../../packages/recipes/src/evaluate/encode-pair.js';
import { allowed, type ReferenceItem } from './compare.js';
import { BASES, lmEvalPython, referenceScores, shorten } from './environment.js';
import { type ComparedTask, sharedTasks } from './shared-items.js';

const { values } = parseArgs({ options: { limit: { type: 'string', default: '100' }, base: { type: 'string' } } });
const say = (line: string): void => void process.stdout.write(`${line}\n`);

/** Rows that both score whole: `local-completions` keeps a token less than the Hugging Face back end of what is too long, and one for the answer. */
async function fittingRows(task: ComparedTask, served: Served, work: string): Promise<ComparedTask> {
  const { items } = await readSuite({ suite: task.suite, file: task.file });
  const rows = readFileSync(task.file, 'utf8').trim().split('\n');
  const fits = ({ task: asked }: (typeof items)[number]): boolean => {
    if (asked.kind !== 'choice') return false;
    return asked.contexts.every((context, k) => {
      try {
        const { ids } = encodePair(context, asked.continuations[k] ?? '', {
          tokenizer: served.tokenizer,
          maxPositions: Number.MAX_SAFE_INTEGER,
        });
        return ids.length + 1 < served.contextMax; // without its last token
      } catch {
        return false; // a choice that is no token of its own: lm_eval stops there
      }
    });
  };
  const kept = rows.filter((_, i) => items[i] !== undefined && fits(items[i]));
  const file = join(work, `fitting-${task.name}.jsonl`);
  writeFileSync(file, `${kept.join('\n')}\n`);
  return { ...task, file };
}

interface Compared {
  scores: number;
  deltaMax: number;
  apart: string[];
}

/** Log-likelihoods of items over HTTP beside those of the Hugging Face back end. */
function compare(ours: readonly ReferenceItem[], theirs: readonly ReferenceItem[]): Compared {
  const found: Compared = { scores: 0, deltaMax: 0, apart: [] };
  if (ours.length !== theirs.length) found.apart.push(`${ours.length} items of ours, ${theirs.length} of theirs`);
  for (const [i, { task, index, scores }] of ours.entries())
    for (const [c, score] of scores.entries()) {
      const other = theirs[i]?.scores[c] ?? Number.NaN;
      const delta = Math.abs(score - other);
      found.scores += 1;
      found.deltaMax = Math.max(found.deltaMax, delta);
      if (!(delta <= allowed(score))) found.apart.push(`${task} ${index}: ${score} and ${other}`);
    }
  return found;
}

async function main(): Promise<number> {
  const work = mkdtempSync(join(tmpdir(), 'moraine-lm-eval-'));
  let faults = 0;
  try {
    const tasks = await sharedTasks(work);
    if (tasks === null) {
      say('Skipped: ../shared/data is not there.');
      return 1;
    }
    const py = lmEvalPython();
    for (const { name, dir } of BASES.filter((base) => base.name.includes(values.base ?? ''))) {
      const served = await openServed({ baseDir: dir, baseName: 'base', adapters: [] });
      const app = createInference({ served, key: null, log: pino({ level: 'warn' }) });
      try {
        const endpoint = `${await app.listen({ host: '127.0.0.1', port: 0 })}/v1/completions`;
        const fitting: ComparedTask[] = [];
        for (const task of tasks)
          fitting.push(shorten(await fittingRows(task, served, work), Number(values.limit), work));
        const asked = fitting.filter(({ file }) => readFileSync(file, 'utf8').trim() !== '');
        const begun = performance.now();
        const ours = await referenceScores(py, { dir, tasks: asked, work, endpoint });
        const seconds = (performance.now() - begun) / 1_000;
        const theirs = await referenceScores(py, { dir, tasks: asked, work });
        for (const { name: task } of asked) {
          const of = (items: readonly ReferenceItem[]) => items.filter((item) => item.task === task);
          const { scores, deltaMax, apart } = compare(of(ours), of(theirs));
          faults += apart.length;
          say(
            `${name} · ${task}: ${of(ours).length} items, ${scores} log-likelihoods, largest difference ${deltaMax.toExponential(2)}, ${apart.length} apart`,
          );
          for (const line of apart.slice(0, 20)) say(`  ${line}`);
        }
        say(`${name}: ${seconds.toFixed(0)} s over HTTP`);
      } finally {
        await app.close();
        served.dispose();
      }
    }
    say(faults === 0 ? `All agree (allowed: ${allowed(0)} + 1e-6 of the score).` : `${faults} do not agree.`);
    return faults === 0 ? 0 : 1;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

process.exitCode = await main();
