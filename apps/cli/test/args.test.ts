import { describe, expect, test } from 'vitest';
import {
  type Command,
  helpOf,
  integer,
  needed,
  noMoreThan,
  number,
  oneOf,
  readArguments,
  required,
  text,
} from '../src/args.js';

const command: Command = {
  name: 'sow',
  forms: ['SEED [--rows N]', '--dry'],
  options: {
    rows: { type: 'string', value: 'N', short: 'r', help: 'Rows to sow.' },
    kind: { type: 'string', value: 'NAME', help: 'What grows.' },
    dry: { type: 'boolean', help: 'Sow nothing.' },
  },
  run: async () => 0,
};
const read = (...words: string[]) => readArguments(command, words);
const refusal = (message: string, hint: string) =>
  expect.objectContaining({ code: 'invalid_request', message, hint: expect.stringContaining(hint) });

describe('words are read', () => {
  test('as options in every spelling, and the rest in its order', () => {
    for (const rows of [['--rows', '3'], ['--rows=3'], ['-r', '3'], ['-r3']])
      expect(read('oats', ...rows, 'rye')).toMatchObject({ options: { rows: '3' }, positionals: ['oats', 'rye'] });
  });

  test('after -- as they are, even when they begin with a dash', () => {
    expect(read('--dry', '--', '--rows').positionals).toEqual(['--rows']);
  });

  test('an option that is given twice counts as its last value, and both are kept', () => {
    const args = read('--kind', 'oats', '--kind', 'rye');
    expect(text(args, 'kind')).toBe('rye');
    expect(args.repeated.kind).toEqual(['oats', 'rye']);
  });
});

describe('words are refused', () => {
  test.each([
    [['--row', '3'], "moraine sow has no option '--row'.", "Did you mean '--rows'?"],
    [['--zzzzzzz'], "moraine sow has no option '--zzzzzzz'.", '`moraine sow --help` lists its options.'],
    [['--rows'], '--rows needs a value.', 'Write --rows N.'],
    [['--rows='], '--rows needs a value.', 'Write --rows N.'],
    [['--dry=yes'], "--dry takes no value, but 'yes' was given.", 'Write --dry alone.'],
    [['--no-dry'], "moraine sow has no option '--no-dry'.", ''],
  ])('%j', (words, message, hint) => {
    expect(() => read(...words)).toThrow(refusal(message, hint));
  });

  test('when there are more of them than the command takes', () => {
    expect(() => noMoreThan(read('oats', 'rye'), 1, command)).toThrow("'rye' is one argument too many.");
    expect(() => noMoreThan(read('oats'), 1, command)).not.toThrow();
  });
});

describe('a value', () => {
  test('of a whole number lies within its bounds, both included', () => {
    for (const rows of ['1', '9', '1e0']) expect(integer(read('--rows', rows), 'rows', 1, 9)).toBe(Number(rows));
    for (const rows of ['0', '10', '1.5', 'two', 'NaN', '-1'])
      expect(() => integer(read(`--rows=${rows}`), 'rows', 1, 9)).toThrow(
        refusal(`--rows is '${rows}', which is not a whole number from 1 to 9.`, '--rows 1'),
      );
    expect(integer(read(), 'rows', 1, 9)).toBeUndefined();
  });

  test('of a number may have a fraction, but is finite', () => {
    expect(number(read('--rows', '2.5e-1'), 'rows', 0, 1)).toBe(0.25);
    for (const rows of ['1.01', 'Infinity', 'x']) expect(() => number(read('--rows', rows), 'rows', 0, 1)).toThrow();
  });

  test('of some words is one of them, else the nearest is named', () => {
    expect(oneOf(read('--kind', 'rye'), 'kind', ['oats', 'rye'])).toBe('rye');
    expect(() => oneOf(read('--kind', 'oat'), 'kind', ['oats', 'rye'])).toThrow(
      refusal("--kind is 'oat', which is none of oats, rye.", "Did you mean 'oats'?"),
    );
  });

  test('that the command cannot do without is asked for with its help', () => {
    expect(() => needed(read(), 'kind', command)).toThrow(
      refusal('--kind is missing.', 'Write --kind NAME: What grows.'),
    );
    expect(() => required(read(), 0, 'The seed', command)).toThrow(
      refusal('The seed is missing.', 'Usage: moraine sow SEED [--rows N] | moraine sow --dry'),
    );
    expect(required(read('oats'), 0, 'The seed', command)).toBe('oats');
  });
});

test('the help shows every form, and every option with its value and short form in one column', () => {
  expect(helpOf(command, 'Sow a field').split('\n')).toEqual([
    'Sow a field',
    '',
    'Usage:',
    '  moraine sow SEED [--rows N]',
    '  moraine sow --dry',
    '',
    'Options:',
    '  -r, --rows N  Rows to sow.',
    '  --kind NAME   What grows.',
    '  --dry         Sow nothing.',
    '',
  ]);
});

test('the help shows examples as whole commands after the options, and of a command without options alone', () => {
  const examples = ['oats --rows 3', '--dry'];
  expect(
    helpOf({ ...command, examples }, 'Sow a field')
      .split('\n')
      .slice(-5),
  ).toEqual(['', 'Examples:', '  moraine sow oats --rows 3', '  moraine sow --dry', '']);
  const bare = { ...command, options: {}, forms: [''], examples: [''] };
  expect(helpOf(bare, 'Sow')).toBe('Sow\n\nUsage:\n  moraine sow\n\nExamples:\n  moraine sow\n');
});
