/**
 * `npm run paper:uuid`: how fast full fine-tuning, LoRA and MoRA memorise random pairs. Stopped and started again it goes on with the
 * first run that is not finished. Writes uuid.md, uuid.svg and uuid/ into `--out` (default docs/experiments).
 * `--try lora:3e-3 --steps 50` trains one cell and writes nothing.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { linearShapes } from '@moraine/contract/plan';
import { loadBase } from '@moraine/recipes';
import { appendCell, type Cell, type CellPlan, keepConfig, nextCell, readCells } from './uuid-cells.js';
import {
  EVALUATE_AT,
  FINAL_SEEDS,
  FINAL_STEPS,
  FIRST_RATES,
  GRID_SEED,
  GRID_STEPS,
  LORA_ALPHA,
  METHODS,
  type MethodName,
  OPTIMIZER,
  PAIR_COUNT,
  PAIRS_SEED,
  RANK,
  RATES,
  ROWS_PER_BATCH,
  schedule,
} from './uuid-config.js';
import { drawPairs, encodePair, pairsHash, readAlphabet } from './uuid-data.js';
import { uuidPlot, uuidReport } from './uuid-report.js';
import { type CellBase, runCell } from './uuid-train.js';

const { values } = parseArgs({
  options: {
    // not --dir: the loader of TensorFlow's binding reads that flag of the process and looks there
    base: { type: 'string', default: 'examples/base' },
    out: { type: 'string', default: 'docs/experiments' },
    try: { type: 'string' },
    steps: { type: 'string', default: '50' },
  },
});

const say = (line: string): void => {
  process.stdout.write(`${new Date().toISOString().slice(11, 19)} ${line}\n`);
};

const baseDir = resolve(values.base);
const { config, weights } = loadBase(baseDir);
const base: CellBase = { config, weights, linears: linearShapes(config).map(({ name }) => name) };
const baseHash = createHash('sha256')
  .update(readFileSync(join(baseDir, 'model.safetensors')))
  .digest('hex');
const parameters = [...weights.values()].reduce((sum, { shape }) => sum + shape.reduce((size, n) => size * n, 1), 0);
const pairs = drawPairs();
const alphabet = readAlphabet(readFileSync(join(baseDir, 'tokenizer.json'), 'utf8'));
const rows = pairs.map((pair) => encodePair(pair, alphabet));

const describe = ({ phase, method, learningRate, seed, steps }: CellPlan): string =>
  `${phase} ${method}, learning rate ${learningRate.toExponential()}, seed ${seed}, ${steps} steps`;

async function tryCell(text: string, steps: number): Promise<void> {
  const [name = '', learningRate = ''] = text.split(':');
  const method = METHODS.find((known) => known === name);
  if (method === undefined || !(Number(learningRate) > 0) || !(steps > 0)) {
    throw new Error(
      `--try takes METHOD:RATE such as lora:3e-3, with METHOD one of ${METHODS.join(', ')}; got ${text}.`,
    );
  }
  const plan: CellPlan = {
    phase: 'grid',
    method: method satisfies MethodName,
    learningRate: Number(learningRate),
    seed: GRID_SEED,
    steps,
  };
  say(describe(plan));
  const cell = await runCell(plan, base, rows, say);
  say(JSON.stringify(cell));
}

async function runAll(out: string): Promise<void> {
  const file = join(out, 'uuid', 'cells.jsonl');
  keepConfig(join(out, 'uuid', 'config.json'), {
    base: baseHash,
    pairs: { count: PAIR_COUNT, seed: PAIRS_SEED, sha256: pairsHash(pairs) },
    rowsPerBatch: ROWS_PER_BATCH,
    rank: RANK,
    loraAlpha: LORA_ALPHA,
    optimizer: OPTIMIZER,
    warmupSteps: schedule(1).warmupSteps,
    rates: RATES,
    firstRates: FIRST_RATES,
    grid: { steps: GRID_STEPS, seed: GRID_SEED },
    final: { steps: FINAL_STEPS, seeds: FINAL_SEEDS, evaluateAt: EVALUATE_AT },
    mode: 'plain',
  });
  const cells: Cell[] = readCells(file);
  const write = (): void => {
    mkdirSync(out, { recursive: true });
    writeFileSync(join(out, 'uuid.md'), uuidReport(cells, { baseHash: baseHash.slice(0, 16), parameters }));
    writeFileSync(join(out, 'uuid.svg'), uuidPlot(cells));
  };
  say(`${cells.length} cells are finished`);
  for (let plan = nextCell(cells); plan !== null; plan = nextCell(cells)) {
    say(describe(plan));
    const cell = await runCell(plan, base, rows, say);
    appendCell(file, cell);
    cells.push(cell);
    say(`  ${cell.diverged ?? `${cell.trainable} trained numbers`}, ${cell.seconds} s`);
    write();
  }
  write();
  say(`All ${cells.length} cells are finished: ${join(out, 'uuid.md')}`);
}

if (values.try === undefined) await runAll(resolve(values.out));
else await tryCell(values.try, Number(values.steps));
