import { type EvaluationSummary, metricOf, type Sampling, SUITES } from '@moraine/contract/suites';

/** A figure as it is shown: a share in percent. */
export const figureOf = (metric: string, value: number): string =>
  metricOf(metric)?.unit === 'share' ? `${(100 * value).toFixed(2)} %` : value.toFixed(5);

/** How answers were drawn, in words. */
export const sayDrawn = ({ samples, temperature, top_p }: Sampling): string =>
  `${samples} samples each at temperature ${temperature}${top_p === 1 ? '' : `, top-p ${top_p}`}`;

/** The figures of an evaluation as lines, the one that the suite is known by first. */
export function summaryLines(
  { suite, metric, metrics, n }: EvaluationSummary,
  fewshot: number,
  sampling: Sampling | null = null,
): string[] {
  const names = Object.keys(metrics).sort((a, b) => Number(b === metric) - Number(a === metric));
  const rows = names.map((name) => {
    const { value, interval, chance, at_chance } = metrics[name] as NonNullable<(typeof metrics)[string]>;
    const shown = (figure: number): string => figureOf(name, figure);
    const within = interval === null ? '' : `  [${shown(interval[0])}, ${shown(interval[1])}]`;
    const guessed = chance === null ? '' : `  chance ${shown(chance)}${at_chance ? ': at chance' : ''}`;
    return `${name.padEnd(22)} ${shown(value)}${within}${guessed}`;
  });
  const examples = fewshot === 0 ? '' : `, ${fewshot} examples before each`;
  const drawn = sampling === null ? '' : `, ${sayDrawn(sampling)}`;
  return [`${SUITES.get(suite)?.title ?? suite}: ${n} items${examples}${drawn}; intervals of 95 %`, ...rows];
}
