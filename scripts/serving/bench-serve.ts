/**
 * `npm run bench:serve [-- --shapes 15m,135m] [-- --quick]`: this server, transformers with PEFT and llama.cpp take turns at answering with the same
 * weights: 1 to 16 answers at once, 1 to 64 adapters mixed, 1,024 registered, the second turn of a conversation. Writes docs/benchmarks/serving.{md,json}; `--quick` prints small
 * numbers alone. Makes .venv/peft and .venv/gguf when they are missing (several GB). An hour on two cores, which must do nothing else.
 */
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { median } from '@moraine/contract/stats';
import { type BenchShape, hashTrained, writeRandomBase } from '@moraine/recipes';
import { writeAdapter } from '../../packages/recipes/test/serve/trained-folders.js';
import { environmentOf } from '../bench/report.js';
import {
  type Figures,
  type Registered,
  type SecondTurn,
  type ServingReport,
  type ShapeReport,
  servingMarkdown,
} from './bench-report.js';
import { apart, ours, type Side, transformers, writeGguf } from './bench-sides.js';

const { values } = parseArgs({
  options: {
    shapes: { type: 'string', default: '15m,135m' },
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
  },
});
const root = resolve(import.meta.dirname, '../..');
const [TOKENS, ROUNDS, REGISTERED, ASKED] = values.quick ? [16, 2, 64, 24] : [64, 5, 1_024, 200];
const TOKENS_OF_A_TURN = 20;
const MIXES = [1, 8, 16, 64];
const ROWS = 16;
const CONTEXT = 256;
const PROMPT = Array.from({ length: 24 }, (_, i) => 5 + 3 * i);
/** The largest shape that 1,024 adapters are registered for: they take 1 GB there. */
const REGISTERED_SHAPE = '15m';

const loads = [loadavg()[0] ?? 0];
const versions: Record<string, string> = {};
const say = (line: string): void => {
  process.stderr.write(`${line}\n`);
};
const isAsked = (part: string): boolean => values.only === undefined || values.only === part;

interface Case {
  side: Side;
  rows: number;
  adapters: number;
  methods: string;
  models: (number | null)[];
}

/** Every case once a round, in turned order in every second one; the first does not count. */
async function alternate(cases: readonly Case[]): Promise<Figures[]> {
  const found = cases.map(
    ({ side, rows, adapters, methods }): Figures => ({
      ...{ side: side.name, rows, adapters, methods },
      ...{ tokensPerSecond: [], firstMs: [] },
    }),
  );
  const said = new Map<string, string>();
  for (let round = 0; round <= ROUNDS; round++) {
    loads.push(loadavg()[0] ?? 0);
    const order = [...cases.keys()];
    for (const i of round % 2 === 0 ? order : order.toReversed()) {
      const { side, models } = cases[i] as Case;
      const { seconds, firstMs, ids } = await side.answer({ prompt: PROMPT, tokens: TOKENS, models });
      if (ids.length !== TOKENS) throw new Error(`${side.name} wrote ${ids.length} tokens in place of ${TOKENS}.`);
      if (models[0] === null) said.set(side.name, ids.join(' '));
      if (round === 0) continue;
      found[i]?.tokensPerSecond.push((models.length * TOKENS) / seconds);
      found[i]?.firstMs.push(median(firstMs));
    }
  }
  // float16 may write otherwise; what has the same float32 must not.
  const texts = new Set([...said].filter(([name]) => !name.includes('float16')).map(([, text]) => text));
  if (texts.size > 1) say(`! the programs wrote different answers: ${JSON.stringify([...said])}`);
  for (const { side, rows, adapters, methods, tokensPerSecond, firstMs } of found)
    say(
      `${side.padEnd(20)} ${rows} at once, ${adapters} ${methods || 'adapters'}: ${median(tokensPerSecond).toFixed(0)} tokens/s, first ${median(firstMs).toFixed(1)} ms`,
    );
  return found;
}

const closeAll = async (sides: readonly Side[]): Promise<void> => {
  for (const side of sides) {
    Object.assign(versions, side.versions);
    await side.close();
  }
};

/** The base alone, 1 to 16 answers at once. */
async function baseFigures(baseDir: string, work: string): Promise<Figures[]> {
  const files = [join(work, 'f32.gguf'), join(work, 'f16.gguf')] as const;
  await writeGguf(baseDir, files[0], 'F32');
  await writeGguf(baseDir, files[1], 'F16');
  const figures: Figures[] = [];
  for (const rows of [1, 4, 8, ROWS]) {
    const sides = [
      await apart('Moraine', 'ours', baseDir, rows, CONTEXT),
      await transformers(baseDir, rows),
      await apart('llama.cpp', 'llama.cpp', files[0], rows, CONTEXT),
      await apart('llama.cpp, float16', 'llama.cpp', files[1], rows, CONTEXT),
    ];
    const models = new Array<null>(rows).fill(null);
    figures.push(...(await alternate(sides.map((side) => ({ side, rows, adapters: 0, methods: '', models })))));
    await closeAll(sides);
  }
  return figures;
}

const writeLora = (baseDir: string, i: number): string =>
  writeAdapter(baseDir, { type: 'lora', rank: 8, alpha: 16, use_rslora: false }, i, { by: 0.02 });
const writeMora = (baseDir: string, i: number): string =>
  writeAdapter(baseDir, { type: 'mora', rank: 8, mora_type: 6 }, i, { by: 0.02 });

async function load(side: Awaited<ReturnType<typeof ours>>, dir: string): Promise<void> {
  const id = await hashTrained(dir);
  await side.served.load({ id, dir });
  side.ids.push(id);
}

/** 1 to 64 adapters, of LoRA alone beside PEFT, and of LoRA and MoRA by turns, which nobody else has. */
async function mixedFigures(baseDir: string): Promise<Figures[]> {
  const most = Math.max(...MIXES);
  const loras = Array.from({ length: most }, (_, i) => writeLora(baseDir, i));
  const moras = Array.from({ length: most / 2 }, (_, i) => writeMora(baseDir, i));
  const own = await apart('Moraine', 'ours', baseDir, ROWS, CONTEXT, ...loras, ...moras);
  const theirs = await transformers(baseDir, ROWS, loras);
  /** Answers of so many adapters, at least one for each row; `at` gives the number of the i-th. */
  const models = (count: number, at = (i: number) => i): number[] =>
    Array.from({ length: Math.max(ROWS, count) }, (_, i) => at(i % count));
  const byTurns = (i: number): number => (i % 2 === 0 ? i / 2 : most + (i - 1) / 2);
  const cases: Case[] = [own, theirs].flatMap((side) => [
    { side, rows: ROWS, adapters: 0, methods: '', models: new Array<null>(ROWS).fill(null) },
    ...MIXES.map((adapters) => ({ side, rows: ROWS, adapters, methods: 'LoRA', models: models(adapters) })),
  ]);
  const turns = { side: own, rows: ROWS, methods: 'LoRA and MoRA' };
  for (const adapters of MIXES.slice(1)) cases.push({ ...turns, adapters, models: models(adapters, byTurns) });
  const figures = await alternate(cases);
  await closeAll([own, theirs]);
  for (const dir of [...loras, ...moras]) rmSync(dir, { recursive: true });
  return figures;
}

const OPENING = 180;
const ADDED = 12;

/** A conversation a round: an answer to its opening, then one to all of that and some more. */
async function secondTurn(baseDir: string): Promise<SecondTurn> {
  const own = await ours(baseDir, ROWS, CONTEXT);
  const found: SecondTurn = { prompt: OPENING + TOKENS_OF_A_TURN + ADDED, heldMs: [], wholeMs: [] };
  const ask = async (prompt: readonly number[], readsWhole: boolean) => {
    let firstMs: number | null = null;
    const begun = performance.now();
    const onToken = (): void => {
      firstMs ??= performance.now() - begun;
    };
    const options = { maxNewTokens: TOKENS_OF_A_TURN, readsWhole, onToken };
    const { ids } = await own.served.begin('base', 1, prompt, options).completion;
    return { ids, firstMs: firstMs ?? Number.NaN };
  };
  for (let round = 0; round <= ROUNDS; round++) {
    const text = (count: number) => Array.from({ length: count }, (_, i) => 5 + ((7 * i + 31 * round) % 200));
    const opening = text(OPENING);
    const { ids } = await ask(opening, false);
    const whole = [...opening, ...ids, ...text(ADDED)];
    const [held, read] = [await ask(whole, false), await ask(whole, true)];
    if (round === 0) continue;
    found.heldMs.push(held.firstMs);
    found.wholeMs.push(read.firstMs);
  }
  await own.close();
  say(JSON.stringify(found));
  return found;
}

async function registeredFigures(baseDir: string): Promise<Registered> {
  const own = await ours(baseDir, ROWS, CONTEXT);
  for (let i = 0; i < REGISTERED; i++) await load(own, i % 2 === 0 ? writeLora(baseDir, i) : writeMora(baseDir, i));
  const [inRow, others]: [number[], number[]] = [[], []];
  for (let i = 0; i < ASKED; i++) {
    const one = { prompt: PROMPT, tokens: 1, models: [(i * 7) % REGISTERED] };
    others.push(...(await own.answer(one)).firstMs);
    inRow.push(...(await own.answer(one)).firstMs);
  }
  await own.close();
  const of = (all: readonly number[]) => ({ median: median(all), p95: p95(all) });
  const registered = { adapters: REGISTERED, asked: ASKED, inRowMs: of(inRow), otherMs: of(others) };
  say(JSON.stringify(registered));
  return registered;
}

const p95 = (all: readonly number[]): number =>
  [...all].sort((a, b) => a - b)[Math.ceil(0.95 * all.length) - 1] ?? Number.NaN;

async function shapeReport(shape: BenchShape, work: string): Promise<ShapeReport> {
  say(`## ${shape}`);
  const baseDir = join(work, shape);
  writeRandomBase(baseDir, shape, 1);
  for (const file of ['tokenizer.json', 'tokenizer_config.json'])
    copyFileSync(join(root, 'examples/base', file), join(baseDir, file));
  const base = isAsked('base') ? await baseFigures(baseDir, work) : [];
  const mixed = isAsked('adapters') ? await mixedFigures(baseDir) : [];
  const registered = isAsked('registered') && shape === REGISTERED_SHAPE ? await registeredFigures(baseDir) : null;
  const turn = isAsked('turns') ? await secondTurn(baseDir) : null;
  return { shape, figures: [...base, ...mixed], secondTurn: turn, registered };
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
const work = mkdtempSync(join(tmpdir(), 'moraine-serving-'));
try {
  const shapes: ShapeReport[] = [];
  for (const shape of values.shapes.split(',')) shapes.push(await shapeReport(shape as BenchShape, work));
  const report: ServingReport = {
    date: new Date().toISOString().slice(0, 10),
    environment: environmentOf(),
    versions,
    command: ['npm run bench:serve', ...(process.argv.length > 2 ? ['--', ...process.argv.slice(2)] : [])].join(' '),
    ...{ rounds: ROUNDS, prompt: PROMPT.length, tokens: TOKENS },
    load: [Math.min(...loads), Math.max(...loads)],
    shapes,
  };
  const text = servingMarkdown(report);
  process.stdout.write(text);
  if (!values.quick && values.only === undefined) {
    writeFileSync(join(root, 'docs/benchmarks/serving.md'), text);
    writeFileSync(join(root, 'docs/benchmarks/serving.json'), `${JSON.stringify(report, null, 1)}\n`);
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}
