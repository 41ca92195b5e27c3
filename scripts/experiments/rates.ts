/**
 * `npm run experiment:rates -- --task NAME=BASE,TRAIN,HELDOUT …`: whether the automatic learning rate of every method is near its best.
 * For every task and method it trains at the automatic rate times ¼, ½, 1, 2 and 4 from one seed, and takes the drop in held-out loss from
 * before the first to after the last step. Prints per task and method the share of the best drop that the automatic rate reaches; at least
 * 90 % is wanted. A rate that diverges has no drop. A finished run is not made again.
 */
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { type CreateRunRequest, isDivergence } from '@moraine/contract';
import { DEMO_TASK, type HeldOut, readTask, remembered, type Settings, type Task, trainOnTask } from './held-out.js';

const root = resolve(import.meta.dirname, '../..');
const FACTORS = [0.25, 0.5, 1, 2, 4];
const WANTED = 0.9;

const { values } = parseArgs({
  options: {
    task: { type: 'string', multiple: true, default: [DEMO_TASK] },
    method: { type: 'string', multiple: true },
    steps: { type: 'string', default: '100' },
    'batch-size': { type: 'string', default: '16' },
    seed: { type: 'string', default: '1' },
    out: { type: 'string', default: join(root, '.moraine/experiments/rates') },
  },
});
const steps = Number(values.steps);
/** ReLoRA and ReMoRA start again three times in a run. */
const restart = { every: Math.ceil(steps / 4) };

/** What is asked for, by the name in the table. */
const METHODS: Record<string, NonNullable<CreateRunRequest['adapter']>> = {
  full: { type: 'none' },
  lora: { type: 'lora' },
  'lora-rs': { type: 'lora', use_rslora: true },
  'lora-plus': { type: 'lora', lora_plus_ratio: 4 },
  'lora-asymmetric': { type: 'lora', init: 'asymmetric' },
  relora: { type: 'lora', restart },
  pissa: { type: 'pissa' },
  dora: { type: 'dora' },
  hira: { type: 'hira' },
  miss: { type: 'miss' },
  'mora-1': { type: 'mora', mora_type: 1 },
  'mora-2': { type: 'mora', mora_type: 2 },
  'mora-3': { type: 'mora', mora_type: 3 },
  'mora-4': { type: 'mora', mora_type: 4 },
  'mora-6': { type: 'mora', mora_type: 6 },
  'mora-truncation': { type: 'mora', mora_type: 'truncation' },
  'mora-decouple': { type: 'mora', mora_type: 'decouple' },
  remora: { type: 'mora', mora_type: 1, restart },
  oft: { type: 'oft' },
  'oft-cayley': { type: 'oft', rotation: 'cayley' },
  gralora: { type: 'gralora' },
};

/** Drop in held-out loss; none where the run diverged. */
async function dropOf(task: Task, method: string, factor: number): Promise<{ rate: number; drop: number }> {
  const name = `${task.name}.${method}.${factor}.${steps}.${values['batch-size']}.${values.seed}`;
  const settings: Settings = {
    adapter: METHODS[method],
    max_steps: steps,
    batch_size: Number(values['batch-size']),
    hyperparameters: { learning_rate_multiplier: factor },
  };
  const outcome = await remembered(join(values.out, `${name}.json`), async () => {
    const made = await trainOnTask(task, settings, Number(values.seed)).catch(diverged);
    process.stderr.write(`${name} ${made.heldoutBefore.toFixed(4)} to ${made.heldoutLoss.toFixed(4)}\n`);
    return made;
  });
  const drop = outcome.heldoutBefore - outcome.heldoutLoss;
  return { rate: outcome.learningRate, drop: Number.isFinite(drop) ? drop : 0 };
}

function diverged(error: unknown): HeldOut {
  const code = error instanceof Error && 'code' in error ? String(error.code) : null;
  if (!isDivergence(code)) throw error;
  const none = Number.NaN;
  return { heldoutBefore: none, heldoutLoss: none, trainLoss: none, learningRate: none, seconds: none };
}

/** One line of the table; true where the automatic rate is good enough. */
async function compare(task: Task, method: string): Promise<boolean> {
  const drops: { rate: number; drop: number }[] = [];
  for (const factor of FACTORS) drops.push(await dropOf(task, method, factor));
  const best = Math.max(...drops.map(({ drop }) => drop));
  const automatic = drops[FACTORS.indexOf(1)] ?? { rate: Number.NaN, drop: Number.NaN };
  const share = automatic.drop / best;
  const bestAt = FACTORS[drops.findIndex(({ drop }) => drop === best)];
  const cells = [task.name, method, automatic.rate, ...drops.map(({ drop }) => drop.toFixed(3)), `× ${bestAt}`];
  process.stdout.write(`| ${cells.join(' | ')} | ${(100 * share).toFixed(0)} % |\n`);
  return share >= WANTED;
}

const methods = values.method ?? Object.keys(METHODS);
const unknown = methods.find((method) => !(method in METHODS));
if (unknown !== undefined) throw new Error(`'${unknown}' is not among ${Object.keys(METHODS).join(', ')}`);
mkdirSync(values.out, { recursive: true });
const heads = FACTORS.map((factor) => `drop × ${factor}`);
process.stdout.write(`| task | method | rate | ${heads.join(' | ')} | best at | share |\n`);
process.stdout.write(`|---|---|--:|${'--:|'.repeat(FACTORS.length)}--:|--:|\n`);
const below: string[] = [];
for (const task of values.task.map(readTask))
  for (const method of methods) if (!(await compare(task, method))) below.push(`${method} on ${task.name}`);
process.stdout.write(below.length === 0 ? 'all reach 90 %\n' : `below 90 %: ${below.join(', ')}\n`);
process.exitCode = below.length === 0 ? 0 : 1;
