import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { parseArgs } from 'node:util';

// npm run fuzz -- [--minutes 10] [--seed N]: the seeded tests of parsers and of routes, with other seeds until the time is up. The first
// seed that finds a fault ends it, and is named: the same seed finds it again.
const root = path.resolve(import.meta.dirname, '../..');
const FILES = ['packages/data/test/fuzz/parsers.test.ts', 'apps/api/test/fuzz.test.ts'];

const { values } = parseArgs({
  options: { minutes: { type: 'string' }, seed: { type: 'string' }, rounds: { type: 'string' } },
});
const until = Date.now() + 60_000 * Number(values.minutes ?? 2);
const rounds = values.rounds ?? '300';
let seed = Number(values.seed ?? Math.floor(Date.now() / 1_000));
let seeds = 0;
do {
  const env = { ...process.env, FUZZ_SEED: String(seed), FUZZ_ROUNDS: rounds };
  const { status } = spawnSync(process.execPath, ['node_modules/vitest/vitest.mjs', 'run', ...FILES], {
    cwd: root,
    env: { ...env, FUZZ_ROUTE_ROUNDS: String(Math.ceil(Number(rounds) / 10)) },
    stdio: 'inherit',
  });
  if (status !== 0) {
    process.stderr.write(
      `\nSeed ${seed} found a fault: npm run fuzz -- --minutes 0 --seed ${seed} --rounds ${rounds}\n`,
    );
    process.exit(1);
  }
  seeds += 1;
  seed += 1;
} while (Date.now() < until);
process.stdout.write(`${seeds} seeds of ${rounds} rounds each found nothing; the last was ${seed - 1}.\n`);
