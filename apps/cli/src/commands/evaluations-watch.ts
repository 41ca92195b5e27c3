import type { EvaluationTaskObject } from '@moraine/contract';
import type { Arguments } from '../args.js';
import { followEvaluation } from '../follow-evaluation.js';
import { summaryLines } from '../summary-view.js';
import { print } from '../terminal.js';
import { watchTask } from '../watch-task.js';
import { itemLines } from './evaluations-lists.js';

/** Shows how far an evaluation is until it has ended, with `--items` each item as it is scored, then its figures (`watchTask`). */
export const watchEvaluation = (args: Arguments, id: string): Promise<number> =>
  watchTask(args, id, {
    noun: 'evaluation',
    command: 'evaluations',
    async *updates(client, signal) {
      const include = args.options.items ? 'items' : undefined;
      for await (const { event, data } of followEvaluation(client, id, include, signal)) {
        if (event === 'evaluation') yield data;
        else for (const item of data) print(args.options.json ? JSON.stringify(item) : itemLines(item));
      }
    },
    progressOf: ({ progress }) => ({ done: progress.items, total: progress.total, noun: 'items' }),
    endOf,
  });

/** What came of an evaluation that has ended. */
export function endOf({ id, status, summary, fewshot, sampling, error, progress }: EvaluationTaskObject): string[] {
  if (summary !== null) return [`${id}: ${status}`, ...summaryLines(summary, fewshot ?? 0, sampling)];
  const far = progress.total === null ? '' : ` at item ${progress.items} of ${progress.total}`;
  return [`${id}: ${status}${far}${error ? `: ${error.message}` : '.'}`];
}
