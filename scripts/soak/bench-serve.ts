import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { hashTrained, openServed, type Served } from '@moraine/recipes';
import { writeAdapter } from '../../packages/recipes/test/serve/trained-folders.js';

// Tokens a second by rows and by adapters mixed, and time to the first token with many adapters registered. `--base DIR` is any Hugging Face
// folder; adapters are random LoRA and MoRA of rank 8 on all linear layers, by turns.

const { values } = parseArgs({
  options: {
    base: { type: 'string', default: resolve(import.meta.dirname, '../../examples/base') },
    context: { type: 'string', default: '256' },
    short: { type: 'boolean', default: false },
    out: { type: 'string' },
  },
});
const baseDir = resolve(values.base);
const contextMax = Number(values.context);
const [TOKENS, ROUNDS, REGISTERED, ASKED] = values.short ? [16, 2, 32, 24] : [64, 5, 1_024, 200];
const PROMPT = Array.from({ length: 24 }, (_, i) => 5 + 3 * i);

const median = (all: readonly number[]): number => [...all].sort((a, b) => a - b)[all.length >> 1] ?? Number.NaN;
const p95 = (all: readonly number[]): number =>
  [...all].sort((a, b) => a - b)[Math.ceil(0.95 * all.length) - 1] ?? Number.NaN;
const open = (rows: number): Promise<Served> =>
  openServed({ baseDir, baseName: 'base', adapters: [], rows, contextMax });

/** Tokens a second while one answer for each model is written, all at once. */
async function tokensPerSecond(served: Served, models: readonly string[]): Promise<number> {
  const begun = performance.now();
  const answers = models.map((model) => served.begin(model, 1, PROMPT, { maxNewTokens: TOKENS }));
  const all = await Promise.all(answers.map(({ completion }) => completion));
  return all.reduce((sum, { ids }) => sum + ids.length, 0) / ((performance.now() - begun) / 1_000);
}

/** Medians over rounds in which the cases take turns, after one that is not counted. */
async function alternating(cases: readonly (() => Promise<number>)[]): Promise<number[]> {
  const figures: number[][] = cases.map(() => []);
  for (let round = 0; round <= ROUNDS; round++)
    for (const [i, one] of cases.entries()) {
      const figure = await one();
      if (round > 0) figures[i]?.push(figure);
    }
  return figures.map(median);
}

function writeOne(i: number): string {
  const options = { by: 0.05 };
  return i % 2 === 0
    ? writeAdapter(baseDir, { type: 'lora', rank: 8, alpha: 16, use_rslora: false }, i, options)
    : writeAdapter(baseDir, { type: 'mora', rank: 8, mora_type: 6 }, i, options);
}

async function firstTokenMs(served: Served, model: string): Promise<number> {
  const begun = performance.now();
  await served.begin(model, 1, PROMPT, { maxNewTokens: 1 }).completion;
  return performance.now() - begun;
}

const lines: string[] = [];
const say = (line: string): void => {
  lines.push(line);
  console.log(line);
};

say(`# Serving: ${baseDir.split('/').at(-1)}, ${cpus()[0]?.model.trim()} × ${cpus().length}, context ${contextMax}\n`);
say('| rows | tokens/s of the base |\n|---|---|');
for (const rows of [1, 4, 8, 16]) {
  const served = await open(rows);
  const models = Array.from({ length: rows }, () => 'base');
  const [speed = Number.NaN] = await alternating([() => tokensPerSecond(served, models)]);
  say(`| ${rows} | ${speed.toFixed(0)} |`);
  served.dispose();
}

const served = await open(16);
const ids: string[] = [];
for (let i = 0; i < REGISTERED; i++) {
  const dir = writeOne(i);
  const id = await hashTrained(dir);
  await served.load({ id, dir });
  ids.push(id);
}
const mixes = [1, 8, 16, 64].filter((count) => count <= ids.length);
const asks = (count: number): string[] => Array.from({ length: Math.max(16, count) }, (_, i) => ids[i % count] ?? '');
const [alone = Number.NaN, ...speeds] = await alternating([
  () =>
    tokensPerSecond(
      served,
      Array.from({ length: 16 }, () => 'base'),
    ),
  ...mixes.map((count) => () => tokensPerSecond(served, asks(count))),
]);
say('\n| adapters mixed, 16 rows | tokens/s | share of the base |\n|---|---|---|');
say(`| none | ${alone.toFixed(0)} | 1 |`);
for (const [i, count] of mixes.entries())
  say(`| ${count} | ${speeds[i]?.toFixed(0)} | ${((speeds[i] ?? 0) / alone).toFixed(2)} |`);

const [inRow, others]: [number[], number[]] = [[], []];
for (let i = 0; i < ASKED; i++) {
  const id = ids[(i * 7) % ids.length] ?? '';
  others.push(await firstTokenMs(served, id));
  inRow.push(await firstTokenMs(served, id));
}
say(
  `\nFirst token with ${ids.length} adapters registered, p95: ${p95(inRow).toFixed(1)} ms of an adapter that is in a row,`,
);
say(
  `${p95(others).toFixed(1)} ms of one that is not (medians ${median(inRow).toFixed(1)} and ${median(others).toFixed(1)} ms).`,
);
served.dispose();
if (values.out !== undefined) writeFileSync(join(process.cwd(), values.out), `${lines.join('\n')}\n`);
