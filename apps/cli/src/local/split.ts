import path from 'node:path';
import { AppError } from '@moraine/contract';
import { makeFolder } from '@moraine/contract/make-folder';
import type { SplitReport } from '@moraine/recipes';
import { type Arguments, type Command, integer, noMoreThan, number, required } from '../args.js';
import { print } from '../terminal.js';
import { JSON_OPTION, neededPath } from './options.js';

const SHARE = 0.1;
/** Rows are drawn by a seed that everyone has, so that two people who split a file get the same rows. */
const SEED = 7;

export const splitCommand: Command = {
  name: 'local split',
  forms: ['FILE --out DIR [--validation SIZE] [--test SIZE]'],
  options: {
    out: {
      type: 'string',
      value: 'DIR',
      help: 'Where train.jsonl, validation.jsonl and test.jsonl go; none of them may be there.',
    },
    validation: {
      type: 'string',
      value: 'SIZE',
      help: `Rows to choose by, a share below 1 or a number; default ${SHARE}. 0: no such file.`,
    },
    test: {
      type: 'string',
      value: 'SIZE',
      help: `Rows to judge by, once; default ${SHARE}. 0: no such file.`,
    },
    seed: { type: 'string', value: 'N', help: `Which rows are drawn; default ${SEED}.` },
    json: JSON_OPTION,
  },
  run: async (args) => {
    noMoreThan(args, 1, splitCommand);
    const from = path.resolve(required(args, 0, 'the file to divide', splitCommand));
    const out = neededPath(args, 'out', splitCommand);
    const parts = (['validation', 'test'] as const)
      .map((name) => ({ file: path.join(out, `${name}.jsonl`), size: sizeOf(args, name) }))
      .filter(({ size }) => size > 0);
    const seed = integer(args, 'seed', 0, 2 ** 31 - 1) ?? SEED;
    const { refuseNoFile, splitFile } = await import('@moraine/recipes');
    refuseNoFile(from);
    makeFolder(out);
    const report = await splitFile(from, parts, path.join(out, 'train.jsonl'), seed);
    print(args.options.json === true ? JSON.stringify({ ...report, seed }) : describe(report));
    return 0;
  },
};

function sizeOf(args: Arguments, name: string): number {
  const size = number(args, name, 0, 2 ** 31 - 1) ?? SHARE;
  if (size < 1 || Number.isInteger(size)) return size;
  throw new AppError('invalid_request', `--${name} is ${size}, which is neither a share nor a number of rows.`, {
    hint: 'Give a share below 1 or a whole number.',
  });
}

function describe({ rows, distinct, parts }: SplitReport): string {
  const repeats = rows === distinct ? '' : `, ${distinct} of them distinct; equal rows are in the same file`;
  return [
    `${rows} rows${repeats}.`,
    ...parts.map((part) => `${String(part.rows).padStart(String(rows).length)} in ${part.file}`),
  ].join('\n');
}
