import path from 'node:path';
import { AppError, SPLIT_SEED, SPLIT_SHARE } from '@moraine/contract';
import { makeFolder } from '@moraine/contract/make-folder';
import { type Arguments, type Command, integer, noMoreThan, number, type Option, required } from '../args.js';
import { print } from '../terminal.js';
import { JSON_OPTION, neededPath } from './options.js';

/** Of every command that divides a file. */
export const SPLIT_OPTIONS = {
  validation: {
    type: 'string',
    value: 'SIZE',
    help: `Rows to choose by, a share below 1 or a number; default ${SPLIT_SHARE}. 0: no such file.`,
  },
  seed: { type: 'string', value: 'N', help: `Which rows are drawn; default ${SPLIT_SEED}.` },
} satisfies Record<string, Option>;

export const splitCommand: Command = {
  name: 'local split',
  forms: ['FILE --out DIR [--validation SIZE] [--test SIZE]'],
  options: {
    out: {
      type: 'string',
      value: 'DIR',
      help: 'Where train.jsonl, validation.jsonl and test.jsonl go; none of them may be there.',
    },
    ...SPLIT_OPTIONS,
    test: {
      type: 'string',
      value: 'SIZE',
      help: `Rows to judge by, once; default ${SPLIT_SHARE}. 0: no such file.`,
    },
    json: JSON_OPTION,
  },
  run: async (args) => {
    noMoreThan(args, 1, splitCommand);
    const from = path.resolve(required(args, 0, 'the file to divide', splitCommand));
    const out = neededPath(args, 'out', splitCommand);
    const parts = (['validation', 'test'] as const)
      .map((name) => ({ file: path.join(out, `${name}.jsonl`), size: sizeOf(args, name) ?? SPLIT_SHARE }))
      .filter(({ size }) => size > 0);
    const seed = integer(args, 'seed', 0, 2 ** 31 - 1) ?? SPLIT_SEED;
    const { refuseNoFile, splitFile } = await import('@moraine/recipes');
    refuseNoFile(from);
    makeFolder(out);
    const report = await splitFile(from, parts, path.join(out, 'train.jsonl'), seed);
    const places = report.parts.map((part) => ({ rows: part.rows, place: part.file }));
    print(args.options.json === true ? JSON.stringify({ ...report, seed }) : describeSplit(report, places));
    return 0;
  },
};

/** A share below 1 or a number of rows. @throws AppError `invalid_request`. */
export function sizeOf(args: Arguments, name: string): number | undefined {
  const size = number(args, name, 0, 2 ** 31 - 1);
  if (size === undefined || size < 1 || Number.isInteger(size)) return size;
  throw new AppError('invalid_request', `--${name} is ${size}, which is neither a share nor a number of rows.`, {
    hint: 'Give a share below 1 or a whole number.',
  });
}

/** How many rows went where. */
export function describeSplit(
  { rows, distinct }: { rows: number; distinct: number },
  parts: readonly { rows: number; place: string }[],
): string {
  const repeats = rows === distinct ? '' : `, ${distinct} of them distinct; equal rows are in the same file`;
  const width = String(rows).length;
  return [
    `${rows} rows${repeats}.`,
    ...parts.map((part) => `${String(part.rows).padStart(width)} in ${part.place}`),
  ].join('\n');
}
