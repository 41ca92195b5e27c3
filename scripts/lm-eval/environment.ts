import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { referencePython } from '../peft/environment.js';
import type { ReferenceItem } from './compare.js';
import type { ComparedTask } from './shared-items.js';

const root = resolve(import.meta.dirname, '../..');

/** The bases that both sides score with. */
export const BASES = [
  { name: 'examples/base (no begin token)', dir: join(root, 'examples/base') },
  {
    name: 'tinystories-656k (adds a begin token)',
    dir: resolve(root, '../shared/data/models/tinystories-656k-llama'),
  },
];

/** The reference Python with lm_eval, which is installed where it is not there. */
export function lmEvalPython(): string {
  const path = referencePython();
  const requirements = join(import.meta.dirname, 'requirements.txt');
  const wanted = [...readFileSync(requirements, 'utf8').matchAll(/^(\w+)==([\d.]+)$/gm)];
  const ask = `from importlib.metadata import version; print(*map(version, ${JSON.stringify(wanted.map(([, name]) => name))}))`;
  const found = spawnSync(path, ['-c', ask], { encoding: 'utf8' }).stdout.trim();
  if (found !== wanted.map(([, , version]) => version).join(' '))
    execFileSync(path, ['-m', 'pip', 'install', '-q', '-r', requirements], { stdio: 'inherit' });
  return path;
}

export const contextOf = (dir: string): number => {
  const config = JSON.parse(readFileSync(join(dir, 'config.json'), 'utf8')) as { max_position_embeddings: number };
  return config.max_position_embeddings;
};

/**
 * What lm_eval makes of tasks: its Hugging Face back end, or its `local-completions` where an endpoint is named. Both are told the same length and whether
 * to begin with a begin token.
 */
export async function referenceScores(
  py: string,
  { dir, tasks, work, endpoint }: { dir: string; tasks: readonly ComparedTask[]; work: string; endpoint?: string },
): Promise<ReferenceItem[]> {
  const [list, out] = [join(work, 'tasks.json'), join(work, 'scores.jsonl')];
  writeFileSync(list, JSON.stringify(tasks));
  const args = [join(import.meta.dirname, 'reference.py'), dir, list, out, String(contextOf(dir))];
  const { stderr } = await promisify(execFile)(py, endpoint === undefined ? args : [...args, endpoint], {
    maxBuffer: 2 ** 28,
  });
  if (process.env.VERBOSE === '1') process.stderr.write(stderr);
  return readFileSync(out, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as ReferenceItem);
}

/** The first rows of a task. */
export function shorten(task: ComparedTask, limit: number, work: string): ComparedTask {
  if (limit === Number.POSITIVE_INFINITY) return task;
  const file = join(work, `first-${task.name}.jsonl`);
  writeFileSync(file, `${readFileSync(task.file, 'utf8').trim().split('\n').slice(0, limit).join('\n')}\n`);
  return { ...task, file };
}
