import { passAtK } from '../stats/index.js';
import type { EvaluationItem } from './results.js';

/**
 * One item from its samples, each judged as if it were the only answer: every figure is their mean, `pass@k` the chance that one of k is right
 * (`passAtK`), `unique_answers` how many differ, white space around them aside.
 */
export function combineSamples(judged: readonly EvaluationItem[], ks: readonly number[]): EvaluationItem {
  const right = judged.filter(({ verdict }) => verdict === 'right');
  const shown = right[0] ?? (judged[0] as EvaluationItem);
  const names = [...new Set(judged.flatMap(({ metrics }) => Object.keys(metrics)))];
  const answers = judged.map(({ answer }) => answer ?? '');
  return {
    ...shown,
    metrics: {
      ...Object.fromEntries(names.map((name) => [name, meanOf(judged, name)])),
      ...Object.fromEntries(ks.map((k) => [`pass@${k}`, passAtK(judged.length, right.length, k)])),
      unique_answers: new Set(answers.map((answer) => answer.trim())).size,
    },
    samples: judged.map(({ verdict, problem }, i) => ({
      answer: answers[i] ?? '',
      verdict: verdict === 'right' ? 'right' : 'wrong',
      ...(problem === undefined ? {} : { problem }),
    })),
  };
}

/** Over the samples that have the figure: a program that judged nothing gave no score. */
function meanOf(judged: readonly EvaluationItem[], name: string): number {
  const values = judged.flatMap(({ metrics }) => metrics[name] ?? []);
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
