/**
 * `npm run conversations`: labels conversations as training does, has transformers do the same, and compares ids and what is learned.
 * `-- --count N` (default 50,000), `-- --from N`, `-- --write` (computes the hashes that the test compares with, of the first 2,000, and the
 * golden rows of the templates of models).
 * See README.md.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { referencePython } from '../peft/environment.js';
import { conversationOf, FIXTURE, HASHED, writeBases } from './generate.js';
import { hashOf, loadBases, type Outcome, outcomeOf } from './ours.js';
import { GOLDEN, goldenRow, ownCases, rowLines, sharedCases } from './rows.js';

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '50000' },
    from: { type: 'string', default: '0' },
    write: { type: 'boolean', default: false },
    python: { type: 'string' },
  },
});
const count = values.write ? HASHED : Number(values.count);
const first = values.write ? 0 : Number(values.from);

const bases = mkdtempSync(join(tmpdir(), 'moraine-conversations-'));
try {
  writeBases(bases);
  process.exitCode = values.write ? await write() : await compare();
} finally {
  rmSync(bases, { recursive: true, force: true });
}

/** What transformers makes of the conversations, in their order. */
async function* reference(): AsyncGenerator<{ number: number; outcome: Outcome }> {
  const script = join(import.meta.dirname, 'reference.py');
  const python = values.python ?? referencePython();
  const child = spawn(python, ['-B', script, bases], { stdio: ['pipe', 'pipe', 'inherit'] });
  const fed = (async () => {
    for (let number = first; number < first + count; number += 1) {
      const { template, line } = conversationOf(number);
      const asked = `${JSON.stringify({ template: template.name, row: line })}\n`;
      if (!child.stdin.write(asked)) await new Promise((resolve) => child.stdin.once('drain', resolve));
    }
    child.stdin.end();
  })();
  let number = first;
  for await (const line of createInterface({ input: child.stdout })) {
    yield { number, outcome: JSON.parse(line) as Outcome };
    number += 1;
  }
  await fed;
  if (number < first + count) throw new Error(`the reference ended at conversation ${number}`);
}

async function compare(): Promise<number> {
  const tokenizers = await loadBases(bases);
  const counts = { same: 0, refused: 0, split: 0, warned: 0, different: 0 };
  for await (const { number, outcome } of reference()) {
    const { template, line } = conversationOf(number);
    const ours = outcomeOf(line, tokenizers(template.name));
    if ('refused' in outcome) counts.refused += 1;
    else if (outcome.rows.length > 1) counts.split += 1;
    if (hashOf(ours) === hashOf(outcome)) {
      counts.same += 1;
      continue;
    }
    if ('notes' in ours && ours.notes?.includes('prompt_differs')) {
      counts.warned += 1;
      process.stdout.write(`${number} (${template.name}) differs, and is warned of: prompt_differs\n`);
      continue;
    }
    counts.different += 1;
    if (counts.different <= 10) process.stdout.write(`${number} (${template.name}) differs: ${line.slice(0, 2000)}\n`);
  }
  process.stdout.write(`${JSON.stringify(counts)}\n`);
  return counts.different === 0 ? 0 : 1;
}

async function write(): Promise<number> {
  const hashes: string[] = [];
  for await (const { outcome } of reference()) hashes.push(hashOf(outcome));
  writeFileSync(FIXTURE, `${hashes.join('\n')}\n`);
  writeRows();
  return 0;
}

/** The golden rows of the templates of models; those of shared data that is not here stay as they are. */
function writeRows(): void {
  const cases = [...ownCases(bases), ...sharedCases(bases)];
  const input = JSON.stringify({ cases, rows: rowLines.map((line) => JSON.parse(line) as unknown) });
  const script = join(import.meta.dirname, 'rows.py');
  const { status, stdout } = spawnSync(values.python ?? referencePython(), ['-B', script], {
    input,
    stdio: ['pipe', 'pipe', 'inherit'],
    maxBuffer: 2 ** 28,
  });
  if (status !== 0) throw new Error(`rows.py ended with ${status}`);
  const made = JSON.parse(stdout.toString()) as Record<string, ([number[], number[]][] | null)[]>;
  const before = existsSync(GOLDEN) ? (JSON.parse(readFileSync(GOLDEN, 'utf8')) as object) : {};
  const rows = Object.entries(made).map(([name, all]) => {
    return [name, all.map((one) => (one === null ? null : goldenRow({ rows: one })))];
  });
  writeFileSync(GOLDEN, `${JSON.stringify({ ...before, ...Object.fromEntries(rows) })}\n`);
}
