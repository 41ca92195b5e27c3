/**
 * `npm run golden`: computes the golden set anew with PyTorch, transformers and PEFT, and compares it with the committed one; exits 1
 * when a number is off. `npm run golden -- --write` replaces the committed set. See README.md.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { referencePython } from '../peft/environment.js';

const fixtures = join(import.meta.dirname, 'fixtures');

/** Runs golden.py; its exit status. -B: no bytecode beside the sources. */
function golden(...args: string[]): number {
  const command = ['-B', join(import.meta.dirname, 'golden.py'), ...args];
  return spawnSync(referencePython(), command, { stdio: 'inherit' }).status ?? 1;
}

function compareAnew(): number {
  const fresh = mkdtempSync(join(tmpdir(), 'moraine-golden-'));
  try {
    return golden('write', fresh) || golden('compare', fresh, fixtures);
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}

const [option, ...rest] = process.argv.slice(2);
if (rest.length > 0 || (option !== undefined && option !== '--write')) {
  process.stderr.write('usage: npm run golden [-- --write]\n');
  process.exitCode = 2;
} else {
  process.exitCode = option === '--write' ? golden('write', fixtures) : compareAnew();
}
