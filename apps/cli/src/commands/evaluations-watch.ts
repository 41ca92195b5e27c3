import { setTimeout as sleep } from 'node:timers/promises';
import { type EvaluationTaskObject, isTerminal } from '@moraine/contract';
import type { Arguments } from '../args.js';
import { connect } from '../connect.js';
import { progressLine } from '../progress-line.js';
import { untilSignal } from '../signals.js';
import { summaryLines } from '../summary-view.js';
import { print, printError } from '../terminal.js';

const LOOK_EVERY_MS = 500;

/** Shows how far an evaluation is until it has ended, then its figures; as JSON only the evaluation as it ended. Ctrl-C ends the watching alone. */
export function watchEvaluation(args: Arguments, id: string): Promise<number> {
  const client = connect(args);
  const line = progressLine();
  return untilSignal(async (signal) => {
    let evaluation = await client.call('getEvaluation', { params: { id } });
    while (!isTerminal(evaluation.status)) {
      if (!args.options.json) line.show(...progressOf(evaluation));
      await sleep(LOOK_EVERY_MS, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) {
        line.clear();
        printError(`The evaluation goes on. \`npx moraine evaluations watch ${id}\` shows it again.`);
        return 130;
      }
      evaluation = await client.call('getEvaluation', { params: { id } });
    }
    line.clear();
    if (args.options.json) print(JSON.stringify(evaluation));
    else for (const row of endOf(evaluation)) print(row);
    return evaluation.status === 'succeeded' ? 0 : 1;
  });
}

function progressOf({ status, state_reason: why, progress }: EvaluationTaskObject): [line: string, step: string] {
  const { items, total } = progress;
  if (status !== 'running' || total === null) {
    const words = `${status}${why ? `: ${why.message}` : ''}`;
    return [words, words];
  }
  return [`${items} of ${total} items`, String(Math.floor((10 * items) / total))];
}

/** What came of an evaluation that has ended. */
export function endOf({ id, status, summary, fewshot, error, progress }: EvaluationTaskObject): string[] {
  if (summary !== null) return [`${id}: ${status}`, ...summaryLines(summary, fewshot ?? 0)];
  const far = progress.total === null ? '' : ` at item ${progress.items} of ${progress.total}`;
  return [`${id}: ${status}${far}${error ? `: ${error.message}` : '.'}`];
}
