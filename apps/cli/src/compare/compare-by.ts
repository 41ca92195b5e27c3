import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { AppError } from '@moraine/contract';
import type { CompareFacts } from '@moraine/contract/compare';
import { PLAIN_SUITE } from '@moraine/contract/suites';
import type { ComparedRows, OwnAnswer, PlainCheck, RowQuestion } from '@moraine/recipes';
import { type Arguments, integer, mistake, number, type Option, oneOf, text } from '../args.js';
import { addressFor } from '../connect.js';
import { progressLine } from '../progress-line.js';
import { askAll, type Place } from './ask.js';

/** How an answer to a plain row is judged, in words. */
const CHECKS = {
  exact: 'its words are those of the row in any case, or its number the same',
  eq: 'it is the answer of the row, letter by letter',
  ne: 'it is not the answer of the row',
  like: 'it holds the answer of the row',
  ilike: 'it holds the answer of the row, in any case',
} as const;
type CheckName = keyof typeof CHECKS;
export const CHECK_NAMES = Object.keys(CHECKS) as CheckName[];

/** Which server answers, where it is not the stack. */
export const SERVER_OPTIONS = {
  url: { type: 'string', value: 'URL', help: 'Another server with OpenAI’s API to ask, `moraine local serve` say.' },
  key: { type: 'string', value: 'KEY', help: 'What that server takes as API key.' },
} satisfies Record<string, Option>;

/** What is compared: a file of rows, a model here, a file of saved answers. */
export interface Sides {
  rows: string;
  ours: string;
  theirs: string;
}

/** Asks ours as the options say and sets its answers beside the saved ones. */
export async function compareBy(
  args: Arguments,
  { rows, ours, theirs }: Sides,
): Promise<Omit<ComparedRows, 'notes'> & { facts: CompareFacts }> {
  const { check, words } = checkOf(args);
  const [rowsFile, theirsFile] = [fileOf(rows, 'rows'), fileOf(theirs, 'theirs')];
  const { compareRows } = await import('@moraine/recipes');
  const { notes, ...compared } = await compareRows({
    file: rowsFile,
    suite: text(args, 'suite') ?? PLAIN_SUITE,
    check,
    limit: integer(args, 'limit', 1, 1_000_000) ?? null,
    saved: readFileSync(theirsFile, 'utf8'),
    ask: (questions) => ask(args, ours, questions),
  });
  const rowsMax = integer(args, 'list', 0, 100_000) ?? 50;
  const names = { ours, theirs: path.basename(theirsFile), rows: path.basename(rowsFile) };
  return { ...compared, facts: { ...names, check: words, notes, rowsMax } };
}

function checkOf(args: Arguments): { check: PlainCheck; words: string } {
  const [name, pattern, suite] = [oneOf(args, 'check', CHECK_NAMES), text(args, 'pattern'), text(args, 'suite')];
  if ([name, pattern, suite].filter((one) => one !== undefined).length > 1)
    throw mistake('--check, --pattern and --suite each say when an answer is right.', 'Give one of them.');
  if (suite !== undefined && suite !== PLAIN_SUITE)
    return { check: { type: 'answer' }, words: `the suite ${suite} says so` };
  if (pattern !== undefined) return { check: readPattern(pattern), words: `it matches ${pattern}` };
  const word = name ?? 'exact';
  return { check: word === 'exact' ? { type: 'answer' } : { type: 'string', operation: word }, words: CHECKS[word] };
}

function readPattern(pattern: string): PlainCheck {
  try {
    new RegExp(pattern);
  } catch (error) {
    throw mistake(
      `--pattern is no regular expression: ${error instanceof Error ? error.message : String(error)}.`,
      'Patterns are those of JavaScript.',
    );
  }
  return { type: 'pattern', pattern, flags: '' };
}

function fileOf(name: string, option: 'rows' | 'theirs'): string {
  const file = path.resolve(name);
  if (statSync(file, { throwIfNoEntry: false })?.isFile()) return file;
  throw new AppError('not_found', `There is no file ${file}.`, { hint: `--${option} names a JSONL file.` });
}

async function ask(args: Arguments, model: string, questions: readonly RowQuestion[]): Promise<OwnAnswer[]> {
  const line = progressLine();
  const onAnswer = (done: number): void => {
    if (!args.options.json)
      line.show(`${done} of ${questions.length} rows asked`, String(Math.floor((10 * done) / questions.length)));
  };
  return askAll(questions, {
    ...placeOf(args),
    model,
    lambda: number(args, 'lambda', 0, 1),
    tokensMax: integer(args, 'max-tokens', 1, 1_000_000),
    isRaw: args.options.raw === true,
    together: integer(args, 'together', 1, 64) ?? 8,
    onAnswer,
  }).finally(line.clear);
}

/** Address and key of the server that answers. */
export function placeOf(args: Arguments): Place {
  const url = text(args, 'url');
  if (url !== undefined)
    return { baseUrl: `${url.replace(/(\/v1)?\/*$/, '')}/v1`, apiKey: text(args, 'key') ?? 'none' };
  const { origin, apiKey } = addressFor(args);
  return { baseUrl: `${origin}/v1`, apiKey };
}
