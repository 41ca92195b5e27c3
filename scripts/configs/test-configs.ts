/**
 * `npm run test:configs [-- --count N] [-- --seed N]`: generates configs of every family in the dialects of transformers 4 and 5, lets transformers
 * compute a loss with each, and compares; default 200. `-- --write` replaces the cases that the suite has. The last line is the total.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type ConfigCase, type Outcome, outcomeOf, readCases } from '../../packages/recipes/test/configs-set.js';
import { referencePython } from '../peft/environment.js';

const TOLERANCE = 1e-5;
const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '200' },
    seed: { type: 'string', default: '7' },
    write: { type: 'boolean', default: false },
  },
});

function generate(count: string, seed: string, file: string): void {
  const script = join(import.meta.dirname, 'configs.py');
  const { status } = spawnSync(referencePython(), ['-B', script, count, seed, file], { stdio: 'inherit' });
  if (status !== 0) process.exit(1);
}

/** What is wrong with an outcome; empty when nothing is. */
function fault({ refused, loss }: ConfigCase, outcome: Outcome): string {
  if ('refused' in outcome) return outcome.refused === refused ? '' : `refused: ${outcome.message}`;
  if (refused !== null) return `taken, though ${refused} cannot be`;
  const off = Math.abs(outcome.loss - (loss ?? Number.NaN));
  return off <= TOLERANCE ? '' : `loss ${outcome.loss}, transformers ${loss}`;
}

async function compare(): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'moraine-configs-'));
  const counts = { passed: 0, failed: 0, worst: 0 };
  try {
    const file = join(dir, 'cases.json');
    generate(values.count, values.seed, file);
    for (const one of readCases(file)) {
      const outcome = await outcomeOf(one);
      const problem = fault(one, outcome);
      if ('loss' in outcome) counts.worst = Math.max(counts.worst, Math.abs(outcome.loss - (one.loss ?? Number.NaN)));
      counts[problem === '' ? 'passed' : 'failed'] += 1;
      if (problem !== '') process.stdout.write(`${problem}\n  ${JSON.stringify(one)}\n`);
    }
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
  process.stdout.write(`worst difference of a loss ${counts.worst.toExponential(1)}\n`);
  process.stdout.write(`${counts.passed} passed, ${counts.failed} failed\n`);
  process.exitCode = counts.failed === 0 ? 0 : 1;
}

if (values.write) generate('84', '1', join(import.meta.dirname, 'fixtures.json'));
else await compare();
