import { afterEach, describe, expect, test, vi } from 'vitest';
import { progressLine } from '../src/progress-line.js';
import { bytes, duration, labelled, paint, table, widthOf } from '../src/terminal.js';
import { type Screen, shownLines, watchScreen } from './screen.js';

let screen: Screen | null = null;
afterEach(() => {
  screen?.close();
  screen = null;
  vi.unstubAllEnvs();
});
const open = (columns: number | null): Screen => {
  screen = watchScreen(columns);
  return screen;
};

test.each([
  [0, '0 B'],
  [999, '999 B'],
  [1000, '1.0 KB'],
  [1_550_000, '1.6 MB'],
  [2.5e9, '2.5 GB'],
  [7e15, '7000.0 TB'],
])('%d bytes are %s', (n, words) => {
  expect(bytes(n)).toBe(words);
});

test.each([
  [-3, '0 s'],
  [59.4, '59 s'],
  [59.6, '1 min 00 s'],
  [125, '2 min 05 s'],
  [3599.7, '1 h 00 min'],
  [7384, '2 h 03 min'],
])('%d seconds are %s', (seconds, words) => {
  expect(duration(seconds)).toBe(words);
});

test('colours are for a terminal without NO_COLOR, and take no width', () => {
  vi.stubEnv('NO_COLOR', '');
  open(null);
  expect(paint('red', 'no')).toBe('no');
  screen?.close();
  open(80);
  const red = paint('red', 'yes');
  expect(red).not.toBe('yes');
  expect(widthOf(red)).toBe(3);
  expect(
    shownLines(
      table(
        [{ title: 'A' }, { title: 'B' }],
        [
          [red, 'x'],
          ['longer', 'y'],
        ],
      ),
    ),
  ).toEqual(['A       B', '──────  ─', 'yes     x', 'longer  y']);
  vi.stubEnv('NO_COLOR', '1');
  expect(paint('red', 'yes')).toBe('yes');
});

test('labelled rows share one column; those without a value are left out', () => {
  expect(
    labelled([
      ['run', 'r-1'],
      ['why', null],
      ['trained', 'm'],
      ['empty', ''],
    ]),
  ).toBe('run      r-1\ntrained  m');
});

describe('a progress line', () => {
  test('is replaced in place, also by a shorter one, cut to the terminal, and cleared', () => {
    const { text } = open(12);
    const line = progressLine();
    line.show('123456789012345', 'a');
    expect(shownLines(text())).toEqual(['12345678901']);
    line.show('short', 'a');
    expect(shownLines(text())).toEqual(['short']);
    line.clear();
    expect(shownLines(text())).toEqual(['']);
    const before = text();
    line.clear();
    expect(text()).toBe(before);
  });

  test('is printed once a step where no terminal is, and never erased', () => {
    const { text } = open(null);
    const line = progressLine();
    for (const [words, step] of [
      ['1 %', '0'],
      ['2 %', '0'],
      ['11 %', '1'],
    ] as const)
      line.show(words, step);
    line.clear();
    expect(text()).toBe('1 %\n11 %\n');
  });
});
