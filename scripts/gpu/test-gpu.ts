/**
 * `npm run test:gpu`, in a checkout and in a bundle (`bin/test-gpu`): numerics and speed on a machine with an NVIDIA GPU, in eight minutes at
 * most; nothing of it needs a network. Every result is written at once to `--out` (default: a folder named after the card). Ends with status 1 when
 * there is no GPU or a result is wrong. `--allow-cpu` runs the same on the processor, cut down; `--shapes 15m,135m,1b` chooses what is measured,
 * `--python FILE` a Python with PyTorch and PEFT to compare with.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { doctor } from '@moraine/engine/install';
import { BENCH_SHAPES, type BenchShape } from '@moraine/recipes';
import { type Result, type Surroundings, writeRecord } from './record.js';
import { type Finding, type Task, tasksOf } from './tasks.js';
import { findTorch } from './torch.js';

const { values } = parseArgs({
  options: {
    out: { type: 'string' },
    'allow-cpu': { type: 'boolean', default: false },
    shapes: { type: 'string' },
    steps: { type: 'string' },
    rounds: { type: 'string', default: '2' },
    minutes: { type: 'string', default: '8' },
    python: { type: 'string' },
  },
});
const begun = performance.now();
/** Kept back for writing and for children that end late. */
const MARGIN_MS = 5000;

function wholeNumber(name: 'steps' | 'rounds' | 'minutes', otherwise: number): number {
  const value = Number(values[name] ?? otherwise);
  if (Number.isInteger(value) && value >= 1) return value;
  throw new Error(`--${name} is '${values[name]}', which is no whole number from 1.`);
}

function shapesFor(kind: 'cpu' | 'gpu'): BenchShape[] {
  const asked = (values.shapes ?? (kind === 'gpu' ? '15m,135m,1b' : '260k,15m')).split(',');
  const isShape = (name: string): name is BenchShape => Object.hasOwn(BENCH_SHAPES, name);
  return asked.map((name) => {
    if (isShape(name)) return name;
    throw new Error(`--shapes knows ${Object.keys(BENCH_SHAPES).join(', ')}, not ${name}.`);
  });
}

const say = (line: string): void => {
  process.stdout.write(`${((performance.now() - begun) / 1000).toFixed(0).padStart(4)} s  ${line}\n`);
};

/** Runs a task in the time that is left; with too little left it is not begun. */
async function runTask(task: Task, deadline: number): Promise<Result> {
  const started = performance.now();
  const left = deadline - started;
  const open: Finding = { isRight: null, figures: {}, problem: 'no time was left' };
  const finding = left < 1000 * task.leastSeconds ? open : await task.run(left);
  // A child that the deadline ended is no fault of what it measured.
  const isCut = finding.isRight === false && performance.now() >= deadline;
  const { stage, name, side } = task;
  return { stage, name, side, ...(isCut ? open : finding), seconds: (performance.now() - started) / 1000 };
}

function describe({ stage, name, side, isRight, figures, problem }: Result): string {
  const verdict = isRight === null ? 'not judged' : isRight ? 'right' : 'WRONG';
  const speed = figures.tokens_per_second ?? figures.decode_tokens_per_second;
  const number =
    typeof speed === 'number'
      ? `, ${speed.toFixed(0)} tokens/s`
      : typeof figures.difference === 'number'
        ? `, ${figures.difference.toExponential(1)}`
        : '';
  return `${stage}: ${name}${side === '' ? '' : `, ${side}`}: ${verdict}${number}${problem === '' ? '' : ` (${problem.split('\n').at(-1)})`}`;
}

const machine = await doctor();
const { device } = machine;
const kind = device?.kind === 'gpu' ? 'gpu' : 'cpu';
if (kind === 'cpu') {
  const why = machine.problems.map(({ what, fix }) => `${what} ${fix}`).join('\n  ');
  const reason = machine.nvidia === null ? 'there is no NVIDIA driver on this machine' : (device?.note ?? why);
  process.stderr.write(`no GPU found: ${reason}${machine.nvidia !== null && why !== '' ? `\n  ${why}` : ''}\n`);
  if (!values['allow-cpu'] || device === null) process.exit(1);
}

const root = resolve(import.meta.dirname, '../..');
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
const slug = (device?.name ?? 'unknown').toLowerCase().replace(/[^a-z0-9]+/g, '-');
const benchmarks = join(root, 'docs/benchmarks'); // in a bundle there is none
const home = existsSync(benchmarks) ? benchmarks : '';
const out = resolve(values.out ?? (kind === 'gpu' ? join(home, `gpu-${slug}`) : join(tmpdir(), `moraine-gpu-${slug}`)));
const torch = await findTorch(kind, values.python);
const around: Surroundings = {
  machine,
  torch,
  versions: { Moraine: version, Node: machine.node, TensorFlow: `${device?.tensorflow} (${machine.runtime?.variant})` },
  command: ['npm run test:gpu', ...(process.argv.length > 2 ? ['--', ...process.argv.slice(2)] : [])].join(' '),
};
const work = mkdtempSync(join(tmpdir(), 'moraine-gpu-work-'));
const results: Result[] = [];
try {
  say(`${device?.name}, figures go to ${out}`);
  if (typeof torch === 'string') say(`no PyTorch with PEFT to compare with: ${torch}`);
  const tasks = tasksOf({
    kind,
    shapes: shapesFor(kind),
    steps: wholeNumber('steps', kind === 'gpu' ? 22 : 6),
    rounds: wholeNumber('rounds', 2),
    torch: typeof torch === 'string' ? null : torch,
    work,
  });
  const deadline = begun + 60_000 * wholeNumber('minutes', 8) - MARGIN_MS;
  for (const task of tasks) {
    const result = await runTask(task, deadline);
    results.push(result);
    writeRecord(out, around, results);
    say(describe(result));
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}
const wrong = results.filter(({ isRight }) => isRight === false).length;
say(
  wrong === 0 ? `Nothing is wrong: ${join(out, 'README.md')}` : `${wrong} results are wrong: ${join(out, 'README.md')}`,
);
process.exitCode = wrong === 0 ? 0 : 1;
