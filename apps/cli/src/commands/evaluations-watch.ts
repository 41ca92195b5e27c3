import type { EvaluationTaskObject } from '@moraine/contract';
import type { Arguments } from '../args.js';
import { summaryLines } from '../summary-view.js';
import { watchTask } from '../watch-task.js';

/** Shows how far an evaluation is until it has ended, then its figures (`watchTask`). */
export const watchEvaluation = (args: Arguments, id: string): Promise<number> =>
  watchTask(args, id, {
    noun: 'evaluation',
    command: 'evaluations',
    read: (client) => client.call('getEvaluation', { params: { id } }),
    progressOf: ({ progress }) => ({ done: progress.items, total: progress.total, noun: 'items' }),
    endOf,
  });

/** What came of an evaluation that has ended. */
export function endOf({ id, status, summary, fewshot, sampling, error, progress }: EvaluationTaskObject): string[] {
  if (summary !== null) return [`${id}: ${status}`, ...summaryLines(summary, fewshot ?? 0, sampling)];
  const far = progress.total === null ? '' : ` at item ${progress.items} of ${progress.total}`;
  return [`${id}: ${status}${far}${error ? `: ${error.message}` : '.'}`];
}
