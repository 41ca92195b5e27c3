#!/usr/bin/env node
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { type Inputs, prepare, submit } from './client.js';
import type { Random } from './faults/fault.js';
import { FAULTS } from './faults/index.js';
import { PHASES } from './phase.js';
import { type Plan, planOf, REAL_RUN, realPlanOf, SHORT_RUN } from './plan.js';
import { type ChaosStack, REAL, STAND_IN, startChaosStack, type Training } from './stack.js';
import { forceAsEnded, forceAsTaken } from './stale-writes.js';
import { type Result, strike, untilOver } from './trial.js';

const STALE_WRITES = 1_000;
const RESUMED_S = 60;

/** Mulberry32: the same numbers for the same seed. */
function randomOf(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
}

const COLUMNS = ['lost', 'stale', 'metrics lost', 'doubled', 'wrong', 'taken', 'resumed s'];
const NAME_WIDTH = 84;
const line = (name: string, values: readonly (string | number)[]): string =>
  `${name.padEnd(NAME_WIDTH)}${values.map((value, i) => String(value).padStart((COLUMNS[i] ?? '').length + 2)).join('')}\n`;

const wrongsOf = (result: Result): number[] => [
  result.lost,
  result.staleWrites,
  result.metricsLost,
  result.metricsDoubled,
  result.metricsWrong,
  result.healthyTaken,
];

const isRight = (result: Result): boolean =>
  wrongsOf(result).every((count) => count === 0) && result.resumedS <= RESUMED_S && result.wasMet;

const { values } = parseArgs({
  options: {
    short: { type: 'boolean', default: false },
    seed: { type: 'string', default: '1' },
    only: { type: 'string' },
    phase: { type: 'string' },
  },
});
const isShort = values.short;
const seed = Number(values.seed);
const random = randomOf(seed);
const asked = { isShort, only: values.only, phase: values.phase };
const out = (text: string): void => void process.stdout.write(text);
let wrong = 0;
let slowestS = 0;

/** Strikes one fault after another and prints a line of each. */
async function tryAll(stack: ChaosStack, inputs: Inputs, plan: readonly Plan[]): Promise<void> {
  for (const [i, { fault, phase }] of plan.entries()) {
    const name = `${fault.name} (${phase})`;
    const impossible = fault.impossible?.(stack) ?? null;
    if (impossible !== null) {
      out(`${name}: left out, ${impossible}\n`);
      continue;
    }
    const result = await strike(stack, inputs, { fault, phase, nth: `${seed}-${i}`, random });
    out(line(name, [...wrongsOf(result), result.resumedS.toFixed(1)]));
    slowestS = Math.max(slowestS, result.resumedS);
    // The disk is small.
    await rm(path.join(stack.blobsDir, 'runs'), { recursive: true, force: true });
    if (isRight(result)) continue;
    wrong++;
    if (!result.wasMet) out('    no attempt was in this phase\n');
    for (const status of result.statuses) out(`    ${status}\n`);
  }
}

async function withStack(training: Training, work: (stack: ChaosStack) => Promise<void>): Promise<void> {
  const stack = await startChaosStack(training);
  const stop = (): void => void stack.close().finally(() => process.exit(1));
  process.once('SIGINT', stop).once('SIGTERM', stop);
  try {
    await work(stack);
  } finally {
    process.off('SIGINT', stop).off('SIGTERM', stop);
    await stack.close();
  }
}

async function tryStandIn(plan: readonly Plan[]): Promise<void> {
  await withStack(STAND_IN, async (stack) => {
    // The short form has no time for runs that outlast a fault.
    const outlastingSteps = isShort ? SHORT_RUN.steps : SHORT_RUN.outlastingSteps;
    const inputs = { ...(await prepare(stack)), ...SHORT_RUN, outlastingSteps };
    out(`seed ${seed}: ${plan.length} trials, clocks by ${stack.clocks.how}\n${line('', COLUMNS)}`);
    await tryAll(stack, inputs, plan);
    const ended = await forceAsEnded(stack, isShort ? STALE_WRITES : STALE_WRITES / 2);
    const taken = isShort ? { tried: 0, accepted: 0 } : await forceAsTaken(stack, inputs, STALE_WRITES / 2);
    const [tried, accepted] = [ended.tried + taken.tried, ended.accepted + taken.accepted];
    if (accepted > 0) wrong++;
    out(`stale writes accepted: ${accepted} of ${tried} forced (${taken.tried} while another attempt trained)\n`);
  });
}

/** What a run measures to which nothing happens. */
async function undisturbed(stack: ChaosStack, inputs: Inputs): Promise<Inputs['lossAt']> {
  const id = await submit(stack, inputs, 'undisturbed');
  await untilOver(stack, [id]);
  const { rows } = await stack.s.pg.query<{ step: number; value: number }>(
    `SELECT p.step, p.value FROM metric_points p JOIN metric_series x ON x.id = p.series_id WHERE x.run_id = $1 AND x.name = 'train_loss'`,
    [id],
  );
  const losses = new Map(rows.map(({ step, value }) => [step, value]));
  if (losses.size !== inputs.steps) throw new Error(`an undisturbed run has ${losses.size} of ${inputs.steps} losses`);
  return (step) => losses.get(step);
}

async function tryReal(plan: readonly Plan[]): Promise<void> {
  await withStack(REAL, async (stack) => {
    const inputs = { ...(await prepare(stack)), ...REAL_RUN, lossAt: () => undefined };
    await tryAll(stack, { ...inputs, lossAt: await undisturbed(stack, inputs) }, plan);
  });
}

const from = performance.now();
const [plan, real] = [planOf(asked, random), realPlanOf(asked)];
if (plan.length + real.length === 0) {
  const names = FAULTS.map(({ name }) => `  ${name}\n`).join('');
  process.stderr.write(`No such trial. Phases: ${PHASES.join(', ')}. Faults:\n${names}`);
  process.exit(1);
}
if (plan.length > 0) await tryStandIn(plan);
if (real.length > 0) await tryReal(real);
const verdict = wrong === 0 ? 'all right' : `${wrong} wrong`;
out(
  `${verdict}, slowest to go on ${slowestS.toFixed(1)} s, ${Math.round((performance.now() - from) / 1_000)} s in all\n`,
);
process.exit(wrong === 0 ? 0 : 1);
