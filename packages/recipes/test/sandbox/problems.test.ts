// Problems in HumanEval's shape: known solutions pass, empty and wrong bodies do not. Five of our own, and HumanEval's 164 where they are at hand.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { passes } from '../../src/sandbox/index.js';

interface Problem {
  task_id: string;
  entry_point: string;
  prompt: string;
  canonical_solution: string;
  test: string;
}

const own: Problem[] = JSON.parse(readFileSync(join(import.meta.dirname, 'problems.json'), 'utf8'));
const humanEval = join(import.meta.dirname, '../../../../../shared/data/datasets/humaneval/HumanEval.jsonl.gz');

/** Python that makes every result of a function differ by one: a number, a letter, an item, a truth. */
const offByOne = (name: string): string => `
def ${name}(*given, right=${name}):
    result = right(*given)
    if result is None or isinstance(result, bool): return not result
    if isinstance(result, (int, float)): return result + 1
    return result + {str: "x", list: [0], tuple: (0,)}[type(result)] if not isinstance(result, dict) else {**result, "x": 0}
`;

/** Which problems pass with the body that is made of each; four run at a time. */
async function passing(problems: readonly Problem[], bodyOf: (problem: Problem) => string): Promise<string[]> {
  const passed = new Set<string>();
  const left = problems.values();
  const work = async (): Promise<void> => {
    for (const problem of left) {
      const tests = `${problem.test}\ncheck(${problem.entry_point})`;
      const verdict = await passes(problem.prompt + bodyOf(problem), tests, { cpuSeconds: 10, wallMs: 60_000 });
      if (verdict.passed) passed.add(problem.task_id);
    }
  };
  await Promise.all([work(), work(), work(), work()]);
  return problems.map((one) => one.task_id).filter((id) => passed.has(id));
}

describe.each([
  ['our own', own],
  ...(existsSync(humanEval) ? [['HumanEval’s', readHumanEval()] as [string, Problem[]]] : []),
])('%s problems', (_, problems) => {
  test('pass with their known solutions', { timeout: 240_000 }, async () => {
    expect(await passing(problems, (one) => one.canonical_solution)).toEqual(problems.map((one) => one.task_id));
  });

  test('fail with an empty body', { timeout: 240_000 }, async () => {
    expect(await passing(problems, () => '    pass\n')).toEqual([]);
  });

  test('fail with results that are off by one', { timeout: 240_000 }, async () => {
    expect(await passing(problems, (one) => one.canonical_solution + offByOne(one.entry_point))).toEqual([]);
  });
});

function readHumanEval(): Problem[] {
  const lines = gunzipSync(readFileSync(humanEval)).toString('utf8').trim().split('\n');
  return lines.map((line) => JSON.parse(line));
}
