import { randomUUID } from 'node:crypto';
import type { EvaluationItem } from '@moraine/contract/suites';
import type { AnswerTask } from '@moraine/data';
import { type ProgramResult, reasonOf, runProgram } from '../sandbox/index.js';

type PythonCheck = Extract<AnswerTask['check'], { type: 'python' }>;
type Graded = Pick<EvaluationItem, 'metrics' | 'verdict' | 'problem'>;

/**
 * An answer as OpenAI's `python` grader judges it: the number that `grade(sample, item)` returns, in the sandbox. `sample` has `output_text`, `output_json`
 * (null where the answer is no JSON) and `choices`, `item` the columns of the row. A program that fails or returns no finite number has judged nothing: the answer
 * counts as wrong, and `problem` says why.
 * @throws AppError `runtime_missing` where the sandbox is not installed, `internal` where it did not start.
 */
export async function gradeByProgram({ source, item, least }: PythonCheck, answer: string): Promise<Graded> {
  const mark = randomUUID();
  const result = await runProgram(programOf(source, sampleOf(answer), item, mark));
  const score = result.ending === 'finished' ? scoreIn(result.stdout, mark) : null;
  if (score === null)
    return { metrics: { passed: 0 }, verdict: 'wrong', problem: `The grader failed: ${whyOf(result)}` };
  const passed = score >= least;
  return { metrics: { passed: passed ? 1 : 0, score }, verdict: passed ? 'right' : 'wrong' };
}

function whyOf(result: ProgramResult): string {
  if (result.ending === 'finished') return 'grade returned no number.';
  return result.ending === 'exited' && result.code === 0 ? 'It ended before grade returned.' : reasonOf(result);
}

const sampleOf = (answer: string) => ({
  output_text: answer,
  output_json: null,
  choices: [{ message: { role: 'assistant', content: answer } }],
});

/** A JSON text as a literal of Python. */
const literal = (value: unknown): string => JSON.stringify(JSON.stringify(value));

/** The grader is a module of its own, which is found by its name as dataclasses do; Python reads the answer's JSON, whose numbers are then whole. What it prints stands before the mark. */
const programOf = (source: string, sample: unknown, item: unknown, mark: string): string => `
import json as _json, sys as _sys, types as _types
_sample = _json.loads(${literal(sample)})
try:
    _sample["output_json"] = _json.loads(_sample["output_text"])
except (ValueError, RecursionError):
    pass
_grader = _sys.modules["grader"] = _types.ModuleType("grader")
exec(compile(_json.loads(${literal(source)}), "grader", "exec"), _grader.__dict__)
_score = _grader.grade(_sample, _json.loads(${literal(item)}))
print("\\n${mark}" + repr(float(_score)))
`;

function scoreIn(stdout: string, mark: string): number | null {
  const at = stdout.lastIndexOf(mark);
  const score = at < 0 ? Number.NaN : Number(stdout.slice(at + mark.length));
  return Number.isFinite(score) ? score : null;
}
