/**
 * `npm run experiment:modes -- --task NAME=BASE,TRAIN,HELDOUT …`: whether mode `bf16` learns as mode `plain` does. For every task, three
 * learning rates (a third of the automatic one, itself, three times) and three seeds it trains a LoRA in both modes, paired by rate, seed
 * and row order, and takes the loss on the held-out rows at the end. Prints per task the mean difference as a share of plain's loss with
 * its 95 % interval (t, nine pairs); the modes count as equal where it is inside ±0.5 % in every task. A finished run is not made again.
 */
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import type { NumericMode } from '@moraine/contract';
import { DEMO_TASK, type HeldOut, readTask, remembered, type Task, trainOnTask } from './held-out.js';

const root = resolve(import.meta.dirname, '../..');
const RATES = [1 / 3, 1, 3];
const SEEDS = [1, 2, 3];
const MODES = ['plain', 'bf16'] as const satisfies NumericMode[];
/** 97.5 % quantile of Student's t with 8 degrees of freedom, and the bound of the decision. */
const T8 = 2.306;
const BOUND = 0.005;

const { values } = parseArgs({
  options: {
    task: { type: 'string', multiple: true, default: [DEMO_TASK] },
    steps: { type: 'string', default: '150' },
    'batch-size': { type: 'string', default: '16' },
    out: { type: 'string', default: join(root, '.moraine/experiments/modes') },
  },
});

async function outcomeOf(task: Task, rate: number, seed: number, mode: NumericMode): Promise<HeldOut> {
  const name = `${task.name}.${rate.toFixed(2)}.${seed}.${mode}`;
  return remembered(join(values.out, `${name}.json`), async () => {
    const settings = {
      adapter: { type: 'lora' as const, rank: 8 },
      max_steps: Number(values.steps),
      batch_size: Number(values['batch-size']),
      hyperparameters: { learning_rate_multiplier: rate },
      mode,
    };
    const outcome = await trainOnTask(task, settings, seed);
    process.stderr.write(`${name} ${outcome.heldoutLoss.toFixed(5)} in ${outcome.seconds.toFixed(0)} s\n`);
    return outcome;
  });
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
