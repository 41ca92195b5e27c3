import { styleText } from 'node:util';
import type { FilePreview, PreviewRow } from '@moraine/contract';

const BAR = 40;

type Style = Parameters<typeof styleText>[0];
const LEARNED: readonly [Style, Style] = [
  ['black', 'bgGreen'],
  ['black', 'bgCyan'],
];
const MASKED: readonly [Style, Style] = ['gray', 'dim'];

/** Whether a person looks was asked before. */
const colour = (style: Style, words: string): string => styleText(style, words, { validateStream: false });

const DROPPED: Record<NonNullable<PreviewRow['dropped']>, string> = {
  over_length: 'left out: longer than max_seq_len',
  prompt_too_long: 'left out: its prompt alone fills max_seq_len',
  not_written: 'left out: the chat template does not write its answer as it is',
  nothing_supervised: 'left out: nothing in it is learned',
};

/** Rows as a run reads them, for a terminal: what is learned in colour, token by token, or in brackets; then how long all rows are. */
export function describePreview(found: FilePreview, isColoured: boolean): string {
  const rows = found.rows.map((row) => [headOf(row), row.problem ?? textOf(row, isColoured), ''].join('\n'));
  const legend = isColoured ? colour(LEARNED[0], 'On green and blue') : '⟦In brackets⟧';
  return [
    ...(rows.length === 0 ? ['There are no rows behind that line.'] : rows),
    `${legend} is what the model learns to write.`,
    lengthsOf(found),
  ].join('\n');
}

function headOf({ line, length, kept, learned, dropped, notes, tokens }: PreviewRow): string {
  const fate = dropped ? [DROPPED[dropped]] : kept > 0 && kept < length ? [`cut to ${kept}`] : [];
  const shown = tokens.length < length ? [`the first ${tokens.length} are shown`] : [];
  return [`Line ${line}: ${length} tokens, ${learned} learned`, ...fate, ...shown, ...notes].join(', ');
}

function textOf({ tokens, kept }: PreviewRow, isColoured: boolean): string {
  const isLearned = (i: number): boolean => i < kept && tokens[i]?.learned === true;
  const parts = tokens.map(({ text }, i) => {
    const shown = visible(text);
    const isOn = isLearned(i);
    if (isColoured) return colour((isOn ? LEARNED : MASKED)[i % 2 === 0 ? 0 : 1], shown);
    return `${isOn && !isLearned(i - 1) ? '⟦' : ''}${shown}${isOn && !isLearned(i + 1) ? '⟧' : ''}`;
  });
  return parts.join('');
}

/** Control characters as pictures: what a file holds must not move the cursor. */
const visible = (text: string): string =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, (letter) => {
    const code = letter.charCodeAt(0);
    return code < 0x20 ? String.fromCharCode(0x2400 + code) : '\u2421';
  });

function lengthsOf({ lengths, rows_read, is_whole }: FilePreview): string {
  const { rows, tokens, longest, p50, p90, p99, histogram } = lengths;
  const most = Math.max(1, ...histogram.map((bucket) => bucket.rows));
  const width = `${histogram.at(-1)?.to ?? 0}`.length;
  const bars = histogram.map(({ from, to, rows: count }) => {
    const range = `${`${from}`.padStart(width)}–${`${to}`.padEnd(width)}`;
    return `  ${range}  ${'█'.repeat(Math.ceil((BAR * count) / most))} ${count}`;
  });
  const of = is_whole ? `${rows} rows` : `${rows} rows of the first ${rows_read} lines`;
  const shares = `half of at most ${p50}, nine tenths of ${p90}, 99 of 100 of ${p99}, the longest of ${longest}`;
  return [`${of}: ${tokens} tokens, ${shares}.`, ...bars].join('\n');
}
