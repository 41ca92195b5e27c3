import { stripVTControlCharacters } from 'node:util';
import type { FilePreview, PreviewRow } from '@moraine/contract';
import { expect, test } from 'vitest';
import { describePreview } from '../src/preview-view.js';

const tokens = (learned: boolean, ...texts: string[]) => texts.map((text, id) => ({ id, text, learned }));
const ROW: PreviewRow = {
  line: 3,
  tokens: [...tokens(false, 'Two', ' and'), ...tokens(true, ' two', '.', '\n')],
  length: 5,
  kept: 5,
  learned: 3,
  dropped: null,
  notes: [],
  problem: null,
};

const found = (row: Partial<PreviewRow>, rest: Partial<FilePreview> = {}): FilePreview => ({
  object: 'file.preview',
  file_id: 'file-a',
  model: 'tiny',
  max_seq_len: 64,
  rows: [{ ...ROW, ...row }],
  has_more: false,
  lengths: {
    rows: 12,
    tokens: 90,
    longest: 19,
    p50: 5,
    p90: 12,
    p99: 19,
    histogram: [
      { from: 0, to: 9, rows: 8 },
      { from: 10, to: 19, rows: 4 },
    ],
  },
  rows_read: 12,
  is_whole: true,
  ...rest,
});

test('what is learned stands in brackets where there is no colour, and a histogram follows', () => {
  expect(describePreview(found({}), false).split('\n')).toEqual([
    'Line 3: 5 tokens, 3 learned',
    'Two and⟦ two.',
    '⟧',
    '',
    '⟦In brackets⟧ is what the model learns to write.',
    '12 rows: 90 tokens, half of at most 5, nine tenths of 12, 99 of 100 of 19, the longest of 19.',
    `   0–9   ${'█'.repeat(40)} 8`,
    `  10–19  ${'█'.repeat(20)} 4`,
  ]);
});

test('in colour each token has its own, other ones where it is learned', () => {
  const coloured = describePreview(found({}), true).split('\n')[1] ?? '';
  expect(stripVTControlCharacters(coloured)).toBe('Two and two.');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: terminal colours are control characters
  const styles = [...coloured.matchAll(/((?:\u001b\[\d+m)+)([^\u001b]+)/g)].map(([, style, text]) => [text, style]);
  expect(styles.map(([text]) => text)).toEqual(['Two', ' and', ' two', '.']);
  expect(new Set(styles.map(([, style]) => style)).size).toBe(4);
});

test('what is cut off is not shown as learned', () => {
  expect(describePreview(found({ kept: 3 }), false)).toContain('5 tokens, 3 learned, cut to 3\nTwo and⟦ two⟧.');
});

test.each([
  [{ dropped: 'over_length' as const, kept: 0 }, 'left out: longer than max_seq_len\nTwo and two.'],
  [{ problem: 'The row has 9 tokens.' }, 'learned\nThe row has 9 tokens.'],
  [{ length: 9 }, 'the first 5 are shown'],
  [{ notes: ['split'] }, '3 learned, split'],
  [{ tokens: tokens(true, '\u001b[2J', '\u0007', '\u009b') }, '⟦␛[2J␇␡⟧'],
])('%j says %s', (row, words) => expect(describePreview(found(row), false)).toContain(words));

test('says that there is nothing behind the last line, and that lengths are those of a part', () => {
  const words = describePreview(found({}, { rows: [], is_whole: false, rows_read: 7 }), false);
  expect(words).toMatch(/^There are no rows behind that line\./);
  expect(words).toContain('12 rows of the first 7 lines: 90 tokens');
});
