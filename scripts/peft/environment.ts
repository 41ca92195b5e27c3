import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const venv = resolve(import.meta.dirname, '../../.venv/peft');
const requirements = join(import.meta.dirname, 'requirements.txt');
/** A copy of the requirements that the environment was made from; absent while it is being made. */
const stamp = join(venv, 'requirements.txt');

/** Path of a Python that has torch, transformers and PEFT as pinned in requirements.txt; made when missing (several GB, once). */
export function referencePython(): string {
  const python = join(venv, 'bin/python');
  const wanted = readFileSync(requirements, 'utf8');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return python;
  process.stderr.write('Installing PyTorch, transformers and PEFT into .venv/peft (several GB, once) ...\n');
  if (!existsSync(python)) execFileSync('python3', ['-m', 'venv', venv], { stdio: 'inherit' });
  execFileSync(python, ['-m', 'pip', 'install', '-q', '-r', requirements], { stdio: 'inherit' });
  writeFileSync(stamp, wanted);
  return python;
}
