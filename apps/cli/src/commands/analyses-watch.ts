import type { AnalysisTaskObject } from '@moraine/contract';
import type { Arguments } from '../args.js';
import { curveTable, summaryTable } from '../local/lab-view.js';
import { memorisationTable } from '../memorisation-view.js';
import { polled, watchTask } from '../watch-task.js';

/** Shows how far an analysis is until it has ended, then its figures (`watchTask`). */
export const watchAnalysis = (args: Arguments, id: string): Promise<number> =>
  watchTask(args, id, {
    noun: 'analysis',
    command: 'analyses',
    updates: (client, signal) => polled(() => client.call('getAnalysis', { params: { id } }), signal),
    progressOf: ({ progress }) => ({ done: progress.rows, total: progress.total, noun: 'rows' }),
    endOf,
  });

/** What came of an analysis that has ended. */
export function endOf({ id, status, summary, error, progress }: AnalysisTaskObject): string[] {
  if (summary?.kind === 'weights')
    return [`${id}: ${status}`, summaryTable(summary.modules), '', curveTable(summary.modules)];
  if (summary?.kind === 'canaries') return [`${id}: ${status}`, memorisationTable(summary)];
  const far = progress.total === null ? '' : ` at row ${progress.rows} of ${progress.total}`;
  return [`${id}: ${status}${far}${error ? `: ${error.message}` : '.'}`];
}
