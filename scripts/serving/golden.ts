/**
 * `npm run golden:serving`: computes with transformers what answers and scores of apps/inference's tests are compared with, and compares it with the
 * committed file; exits 1 when a number is off. `-- --write` replaces the file. Needs .venv/peft, which it makes (several GB).
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { referencePython } from '../peft/environment.js';

const root = resolve(import.meta.dirname, '../..');
const FIXTURE = join(root, 'apps/inference/test/fixtures/transformers.json');
/** Two computations of the same float32 model. */
const TOLERANCE = 3e-5;

const { values } = parseArgs({ options: { write: { type: 'boolean' } } });
const work = mkdtempSync(join(tmpdir(), 'moraine-serving-'));
try {
  const fresh = join(work, 'transformers.json');
  const script = join(import.meta.dirname, 'reference.py');
  execFileSync(referencePython(), ['-B', script, join(import.meta.dirname, 'cases.json'), fresh, root], {
    stdio: 'inherit',
  });
  if (values.write) copyFileSync(fresh, FIXTURE);
  const read = (file: string): unknown => JSON.parse(readFileSync(file, 'utf8'));
  const apart = difference(read(fresh), read(FIXTURE));
  process.stdout.write(`largest difference ${apart.toExponential(2)}, allowed ${TOLERANCE}\n`);
  process.exitCode = apart <= TOLERANCE ? 0 : 1;
} finally {
  rmSync(work, { recursive: true, force: true });
}

/** The largest difference of two numbers at the same place; infinite where the values are not alike otherwise. */
function difference(a: unknown, b: unknown): number {
  if (typeof a === 'number' && typeof b === 'number') return Math.abs(a - b);
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null)
    return a === b ? 0 : Number.POSITIVE_INFINITY;
  const [one, other] = [Object.entries(a), new Map(Object.entries(b))];
  if (one.length !== other.size) return Number.POSITIVE_INFINITY;
  return Math.max(0, ...one.map(([key, value]) => difference(value, other.get(key))));
}
