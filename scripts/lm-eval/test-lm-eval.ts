/**
 * `npm run test:lm-eval`: log-likelihoods and decisions of ours beside those of lm_eval 0.4.13's Hugging Face back end on the choice items of
 * ../shared/data that both can score, on two bases, one whose tokenizer adds a begin token; and GSM8K's figures beside its filters'. Needs .venv/peft, which it makes.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { EvaluationItem } from '@moraine/contract/suites';
import { readSuite } from '@moraine/data';
import { evaluateItems, type OpenModel, openModel } from '@moraine/recipes';
import { allowed, compareItems } from './compare.js';
import { BASES, lmEvalPython, referenceScores, shorten } from './environment.js';
import { compareFilters } from './gsm8k-answers.js';
import { scorableRows } from './scorable.js';
import { type ComparedTask, sharedTasks } from './shared-items.js';

const { values } = parseArgs({ options: { limit: { type: 'string' }, base: { type: 'string' } } });
async function scoreOurs(model: OpenModel, { suite: name, file }: ComparedTask): Promise<EvaluationItem[]> {
  const { suite, items } = await readSuite({ suite: name, file });
  const scored: EvaluationItem[] = [];
  await evaluateItems({ model, suite, items }, (item) => void scored.push(item));
  return scored;
}

const say = (line: string): void => void process.stdout.write(`${line}\n`);

async function main(): Promise<number> {
  const work = mkdtempSync(join(tmpdir(), 'moraine-lm-eval-'));
  let faults = 0;
  try {
    const py = lmEvalPython();
    const filters = compareFilters(py, work);
    say(
      `GSM8K filters: ${filters.answers} answers, ${filters.right} right by one of the figures, ${filters.apart.length} apart`,
    );
    faults += filters.apart.length;
    for (const line of filters.apart) say(`  ${line}`);
    const limit = Number(values.limit ?? Number.POSITIVE_INFINITY);
    const tasks = (await sharedTasks(work))?.map((task) => shorten(task, limit, work)) ?? null;
    if (tasks === null) {
      say('Skipped: ../shared/data is not there.');
      return 1;
    }
    for (const { name, dir } of BASES.filter((base) => base.name.includes(values.base ?? ''))) {
      const model = await openModel({ baseDir: dir, tunedDir: null, lambda: 1 });
      const scorable: ComparedTask[] = [];
      for (const task of tasks) {
        const kept = await scorableRows(task, model, work);
        scorable.push(kept.task);
        if (kept.leftOut > 0)
          say(`${name} · ${task.name}: ${kept.leftOut} rows left out, a choice is no token of its own`);
      }
      const theirs = await referenceScores(py, { dir, tasks: scorable, work });
      for (const task of scorable) {
        const begun = performance.now();
        const ours = await scoreOurs(model, task);
        const seconds = (performance.now() - begun) / 1000;
        const found = compareItems(
          ours,
          theirs.filter((item) => item.task === task.name),
        );
        faults += found.apart.length + found.decisions.length;
        say(
          `${name} · ${task.name}: ${found.items} items, ${found.scores} log-likelihoods, largest difference ${found.deltaMax.toExponential(2)} (${found.shareMax.toFixed(3)} of what is allowed), ${found.apart.length} apart, ${found.decisions.length} decisions differ, ${found.ties.length} within a tie, ${seconds.toFixed(0)} s`,
        );
        for (const line of [...found.apart, ...found.decisions, ...found.ties].slice(0, 20)) say(`  ${line}`);
      }
    }
    say(faults === 0 ? `All agree (allowed: ${allowed(0)} + 1e-6 of the score).` : `${faults} do not agree.`);
    return faults === 0 ? 0 : 1;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

process.exitCode = await main();
