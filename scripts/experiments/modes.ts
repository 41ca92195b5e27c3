/**
 * `npm run experiment:modes -- --task NAME=BASE,TRAIN,HELDOUT …`: whether mode `bf16` learns as mode `plain` does. For every task, three
 * learning rates (a third of the automatic one, itself, three times) and three seeds it trains a LoRA in both modes, paired by rate, seed
 * and row order, and takes the loss on the held-out rows at the end. Prints per task the mean difference as a share of plain's loss with
 * its 95 % interval (t, nine pairs); the modes count as equal where it is inside ±0.5 % in every task. A finished run is not made again.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import type { NumericMode, TrainSpec } from '@moraine/contract';
import { CreateRunRequest } from '@moraine/contract';
import { planRun, runSft } from '@moraine/recipes';

const root = resolve(import.meta.dirname, '../..');
const DEMO = `record=${['base', 'tasks/record-train.jsonl', 'tasks/record-heldout.jsonl'].map((file) => join(root, 'examples', file)).join(',')}`;
const RATES = [1 / 3, 1, 3];
const SEEDS = [1, 2, 3];
const MODES = ['plain', 'bf16'] as const satisfies NumericMode[];
/** 97.5 % quantile of Student's t with 8 degrees of freedom, and the bound of the decision. */
const T8 = 2.306;
const BOUND = 0.005;

interface Task {
  name: string;
  base: string;
  train: string;
  heldout: string;
}

interface Outcome {
  heldoutLoss: number;
  trainLoss: number;
  seconds: number;
}

const { values } = parseArgs({
  options: {
    task: { type: 'string', multiple: true, default: [DEMO] },
    steps: { type: 'string', default: '150' },
    'batch-size': { type: 'string', default: '16' },
    out: { type: 'string', default: join(root, '.moraine/experiments/modes') },
  },
});

function readTask(text: string): Task {
  const [name = '', files = ''] = text.split('=');
  const [base, train, heldout] = files.split(',').map((file) => resolve(file));
  if (!base || !train || !heldout) throw new Error(`'${text}' is no task: write NAME=BASE,TRAIN,HELDOUT`);
  return { name, base, train, heldout };
}

async function specOf(task: Task, rate: number, seed: number, mode: NumericMode, outDir: string): Promise<TrainSpec> {
  const steps = Number(values.steps);
  const body = {
    model: 'base',
    training_file: 'rows',
    adapter: { type: 'lora', rank: 8 },
    max_steps: steps,
    batch_size: Number(values['batch-size']),
    evaluation: { every_steps: steps, samples: 0 },
    hyperparameters: { learning_rate_multiplier: rate },
    checkpoint: { every_steps: steps },
    mode,
  };
  const request = CreateRunRequest.parse(body);
  const plan = {
    request,
    baseDir: task.base,
    baseName: basename(task.base),
    trainingFile: task.train,
    otherFiles: [task.heldout],
    seed,
  };
  const config = await planRun(plan);
  const files = { trainingFile: task.train, validationFile: task.heldout, evaluationFiles: [] };
  const common = { kind: 'train' as const, taskId: 'modes', attempt: 1, baseDir: task.base, baseName: plan.baseName };
  return { ...common, ...files, config, outDir, resumeFrom: null, threads: 0 };
}

async function trainOnce(task: Task, rate: number, seed: number, mode: NumericMode): Promise<Outcome> {
  const outDir = mkdtempSync(join(tmpdir(), 'moraine-modes-'));
  const last = { heldoutLoss: Number.NaN, trainLoss: Number.NaN };
  const begun = performance.now();
  try {
    const spec = await specOf(task, rate, seed, mode, outDir);
    await runSft(
      spec,
      (event) => {
        if (event.type !== 'metrics') return;
        last.trainLoss = event.values.train_loss ?? last.trainLoss;
        last.heldoutLoss = event.values.valid_loss ?? last.heldoutLoss;
      },
      { stopRequested: () => null },
    );
    return { ...last, seconds: (performance.now() - begun) / 1000 };
  } finally {
    rmSync(outDir, { recursive: true, force: true });
  }
}

async function outcomeOf(task: Task, rate: number, seed: number, mode: NumericMode): Promise<Outcome> {
  const file = join(values.out, `${task.name}.${rate.toFixed(2)}.${seed}.${mode}.json`);
  if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8')) as Outcome;
  const outcome = await trainOnce(task, rate, seed, mode);
  writeFileSync(file, JSON.stringify(outcome));
  process.stderr.write(
    `${basename(file, '.json')} ${outcome.heldoutLoss.toFixed(5)} in ${outcome.seconds.toFixed(0)} s\n`,
  );
  return outcome;
}

/** Mean of numbers and half the width of its 95 % interval. */
function meanOf(numbers: readonly number[]): { mean: number; half: number } {
  const mean = numbers.reduce((a, b) => a + b, 0) / numbers.length;
  const variance = numbers.reduce((sum, x) => sum + (x - mean) ** 2, 0) / (numbers.length - 1);
  return { mean, half: T8 * Math.sqrt(variance / numbers.length) };
}

const percent = (x: number): string => `${(100 * x).toFixed(3)} %`;

async function compare(task: Task): Promise<boolean> {
  const differences: number[] = [];
  const losses: number[] = [];
  for (const rate of RATES) {
    for (const seed of SEEDS) {
      const [plain, bf16] = [await outcomeOf(task, rate, seed, MODES[0]), await outcomeOf(task, rate, seed, MODES[1])];
      differences.push((bf16.heldoutLoss - plain.heldoutLoss) / plain.heldoutLoss);
      losses.push(plain.heldoutLoss);
    }
  }
  const { mean, half } = meanOf(differences);
  const isInside = Math.abs(mean) + half <= BOUND;
  const range = `${Math.min(...losses).toFixed(4)}-${Math.max(...losses).toFixed(4)}`;
  const interval = `${percent(mean - half)} to ${percent(mean + half)}`;
  const worst = percent(Math.max(...differences.map(Math.abs)));
  process.stdout.write(
    `| ${task.name} | ${range} | ${percent(mean)} | ${interval} | ${worst} | ${isInside ? 'yes' : 'no'} |\n`,
  );
  return isInside;
}

mkdirSync(values.out, { recursive: true });
process.stdout.write(
  '| task | held-out loss, plain | mean difference | 95 % interval | largest | inside ±0.5 % |\n|---|---|--:|---|--:|---|\n',
);
const verdicts: boolean[] = [];
for (const task of values.task.map(readTask)) verdicts.push(await compare(task));
process.stdout.write(`${verdicts.every(Boolean) ? 'equal in every task' : 'not shown to be equal'}\n`);
