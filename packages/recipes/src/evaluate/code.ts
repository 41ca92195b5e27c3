import type { EvaluationItem } from '@moraine/contract/suites';
import type { CodeTask, SuiteItem } from '@moraine/data';
import { passes } from '../sandbox/index.js';

/** A program that a model wrote after a prompt, run with its tests in the sandbox. The figure is pass@1 of this one. */
export async function judgeProgram(
  { index, id, prompt }: SuiteItem,
  { test, entryPoint, solution }: CodeTask,
  answer: string,
): Promise<EvaluationItem> {
  const { passed } = await passes(prompt + answer, `${test}\ncheck(${entryPoint})`);
  const metrics = { 'pass@1': passed ? 1 : 0 };
  return { index, id, prompt, answer, expected: solution || null, metrics, verdict: passed ? 'right' : 'wrong' };
}
