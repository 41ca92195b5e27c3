/**
 * `npm run test:greedy [-- --count N] [-- --seed N]`: generated bases of every family, each with a LoRA, a MoRA and a merged method, asked at once
 * through a server, beside transformers and PEFT: equal tokens, log-probabilities to 1e-4; default 80 bases. `-- --write` replaces the cases
 * that the suite has. Needs .venv/peft, which it makes (several GB). The last line is the total.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { apart, readGreedy, servedAnswers } from '../../packages/recipes/test/serve/greedy-set.js';
import { referencePython } from '../peft/environment.js';

const TOLERANCE = 1e-4;
const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '80' },
    seed: { type: 'string', default: '7' },
    write: { type: 'boolean', default: false },
  },
});

function generate(count: string, seed: string, file: string): void {
  const script = join(import.meta.dirname, 'greedy.py');
  const { status } = spawnSync(referencePython(), ['-B', script, count, seed, file], { stdio: 'inherit' });
  if (status !== 0) process.exit(1);
}

async function compare(): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'moraine-greedy-'));
  const counts = { passed: 0, failed: 0, tokens: 0, worst: 0 };
  try {
    const file = join(dir, 'cases.json');
    generate(values.count, values.seed, file);
    for (const one of readGreedy(file)) {
      const ours = await servedAnswers(one);
      for (const [i, { method, answers }] of one.models.entries()) {
        const off = apart(ours[i] ?? [], answers);
        counts[off <= TOLERANCE ? 'passed' : 'failed'] += 1;
        counts.tokens += answers.reduce((sum, { ids }) => sum + ids.length, 0);
        if (Number.isFinite(off)) counts.worst = Math.max(counts.worst, off);
        if (off > TOLERANCE)
          process.stdout.write(`${JSON.stringify(one.config)} ${JSON.stringify(method)}: ${off} apart\n`);
      }
    }
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
  process.stdout.write(`${counts.tokens} tokens, worst difference ${counts.worst.toExponential(1)} nats\n`);
  process.stdout.write(`${counts.passed} models passed, ${counts.failed} failed\n`);
  process.exitCode = counts.failed === 0 ? 0 : 1;
}

if (values.write) generate('8', '3', join(import.meta.dirname, 'greedy.json'));
else await compare();
