import type { ExperimentVerdict } from '@moraine/contract/experiments';
import { duration, labelled, paint } from '../terminal.js';

const isShare = (metric: string): boolean => metric === 'exact_match' || metric === 'token_accuracy';
const shown = (metric: string, value: number | null): string =>
  value === null ? '–' : isShare(metric) ? `${(100 * value).toFixed(1)} %` : value.toFixed(4);

/** The one answer, what it rests on, and what to do now. */
export function verdictView(verdict: ExperimentVerdict, next: readonly string[]): string {
  const { decision, reason, metric, chosen, base, tuned, forgotten, seconds } = verdict;
  const half = forgotten?.half == null ? '' : ` ± ${forgotten.half.toFixed(3)}`;
  const facts = labelled([
    [
      'chosen',
      chosen &&
        `${chosen.label}, learning rate ${chosen.learning_rate}, step ${chosen.step}, λ ${chosen.lambda} (${chosen.run_id})`,
    ],
    ['test rows', chosen && `${metric} ${shown(metric, base)} → ${shown(metric, tuned)}`],
    ['forgotten', forgotten && `${forgotten.mean.toFixed(3)}${half} bits per byte more on the rows to keep`],
    ['trained for', duration(seconds)],
  ]);
  const head = decision === 'use' ? paint('green', `Use it: ${reason}.`) : paint('yellow', `Do not use: ${reason}.`);
  return [head, '', facts, ...next.map((line) => `\n${line}`)].join('\n');
}
