import type { ExperimentTable } from '@moraine/contract/experiments';
import { meanInterval } from '@moraine/contract/stats';

const shown = (value: number): string => value.toPrecision(4);

/** Perplexity on test rows: the exponential of each run's loss, then the mean over the seeds of each arm. Null where the table tells of something else than loss. */
export function perplexityTable({ metric, rows }: ExperimentTable): string | null {
  if (metric !== 'loss') return null;
  const lines = rows.map(({ arm, runs }) => {
    const values = runs.flatMap(({ learned }) => (learned === null ? [] : [Math.exp(learned)]));
    if (values.length === 0) return `| ${arm} | – | 0 |`;
    const { mean, half, n } = meanInterval(values);
    return `| ${arm} | ${shown(mean)}${half === null ? '' : ` ± ${shown(half)}`} | ${n} |`;
  });
  return [
    '## Perplexity',
    '',
    'exp(loss) on test rows by seed; mean ± half of the 95 % t-interval where there are three seeds.',
    '',
    '| arm | perplexity | seeds |',
    '| --- | --- | --- |',
    ...lines,
  ].join('\n');
}
