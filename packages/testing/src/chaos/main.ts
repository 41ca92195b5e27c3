#!/usr/bin/env node
import { parseArgs } from 'node:util';
import { prepare } from './client.js';
import { FAULTS } from './faults.js';
import { startChaosStack } from './stack.js';
import { forceDoubleClaims, PHASES, type Result, strike } from './trial.js';

const STALE_WRITES = 1_000;
const RESUMED_S = 60;

/** Mulberry32: the same numbers for the same seed. */
function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
}

const isRight = (result: Result): boolean =>
  result.lost + result.staleWrites + result.metricsLost + result.metricsDoubled + result.healthyTaken === 0 &&
  result.resumedS <= RESUMED_S;

const COLUMNS = ['lost', 'stale', 'metrics lost', 'doubled', 'taken', 'resumed s'];
const line = (name: string, values: readonly (string | number)[]): string =>
  `${name.padEnd(62)}${values.map((value, i) => String(value).padStart((COLUMNS[i] ?? '').length + 3)).join('')}\n`;

const { values } = parseArgs({
  options: {
    short: { type: 'boolean', default: false },
    seed: { type: 'string', default: '1' },
    only: { type: 'string' },
  },
});
const seed = Number(values.seed);
const random = randomOf(seed);
const faults = FAULTS.filter(({ name, isLong }) =>
  values.only ? name.includes(values.only) : !(values.short && isLong),
);
// The short form strikes each fault in one phase, which the seed chooses; the long form in all.
const trials = faults.flatMap((fault) => {
  const drawn = Math.floor(random() * PHASES.length);
  return PHASES.filter((_, i) => !values.short || i === drawn).map((phase) => ({ fault, phase }));
});

const from = performance.now();
const out = (text: string): void => void process.stdout.write(text);
const stack = await startChaosStack();
let wrong = 0;
try {
  const inputs = await prepare(stack);
  out(`seed ${seed}: ${trials.length} trials\n${line('', COLUMNS)}`);
  for (const [i, { fault, phase }] of trials.entries()) {
    const result = await strike(stack, inputs, { fault, phase, nth: `${seed}-${i}`, random });
    const name = `${result.fault} (${phase})`;
    if (result.skipped) out(`${name}: left out, ${result.skipped}\n`);
    else {
      const { lost, staleWrites, metricsLost, metricsDoubled, healthyTaken, resumedS } = result;
      out(line(name, [lost, staleWrites, metricsLost, metricsDoubled, healthyTaken, resumedS.toFixed(1)]));
    }
    if (isRight(result)) continue;
    wrong++;
    for (const status of result.statuses) out(`    ${status}\n`);
  }
  const { tried, accepted } = await forceDoubleClaims(stack, STALE_WRITES);
  if (accepted > 0) wrong++;
  out(`stale writes accepted: ${accepted} of ${tried} forced\n`);
  out(`${wrong === 0 ? 'all right' : `${wrong} wrong`}, ${Math.round((performance.now() - from) / 1_000)} s\n`);
} finally {
  await stack.close();
}
process.exit(wrong === 0 ? 0 : 1);
