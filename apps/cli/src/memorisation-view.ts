import type { ExposureSummary, MemorisationSummary } from '@moraine/contract/analyses';
import { labelled, table } from './terminal.js';

/** Planted canaries and controls, a line each, and what their figures are to be read by. */
export function memorisationTable({ candidates, ceiling, expected, planted, controls }: MemorisationSummary): string {
  const around = ({ mean, half }: { mean: number; half: number | null }, digits: number, factor = 1): string =>
    `${(factor * mean).toFixed(digits)}${half === null ? '' : ` ± ${(factor * half).toFixed(digits)}`}`;
  const row = (name: string, summary: ExposureSummary | null): string[][] => {
    if (summary === null) return [];
    const { n, exposure, extracted, characters } = summary;
    const within = extracted.interval.map((value) => `${(100 * value).toFixed(0)} %`).join(', ');
    return [
      [name, String(n), around(exposure, 2), `${extracted.count} [${within}]`, `${around(characters, 1, 100)} %`],
    ];
  };
  return [
    table(
      [
        { title: '' },
        ...['n', 'exposure, bits', 'written whole', 'characters'].map((title) => ({ title, align: 'right' as const })),
      ],
      [...row('planted', planted), ...row('controls', controls)],
    ),
    '',
    labelled([
      ['candidates', `${candidates} of each form; ceiling ${ceiling.toFixed(2)} bits`],
      ['chance', `${expected.toFixed(2)} bits: what values have that no row held; controls must be near it`],
    ]),
  ].join('\n');
}
