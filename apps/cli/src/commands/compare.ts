import { readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { AppError } from '@moraine/contract';
import {
  type AnswerComparison,
  type AnsweredRow,
  type CompareFacts,
  compareAnswers,
  compareHtml,
  compareMarkdown,
  compareText,
  readSavedAnswers,
} from '@moraine/contract/compare';
import { PLAIN_SUITE } from '@moraine/contract/suites';
import type { PlainCheck, RowQuestion } from '@moraine/recipes';
import {
  type Arguments,
  type Command,
  DATA_OPTION,
  integer,
  mistake,
  needed,
  noMoreThan,
  number,
  type Option,
  oneOf,
  text,
} from '../args.js';
import { type Asked, askAll } from '../compare/ask.js';
import { addressFor } from '../connect.js';
import { progressLine } from '../progress-line.js';
import { print } from '../terminal.js';

/** How an answer to a plain row is judged, in words. */
const CHECKS = {
  exact: 'its words are those of the row in any case, or its number the same',
  eq: 'it is the answer of the row, letter by letter',
  ne: 'it is not the answer of the row',
  like: 'it holds the answer of the row',
  ilike: 'it holds the answer of the row, in any case',
} as const;
type CheckName = keyof typeof CHECKS;
const CHECK_NAMES = Object.keys(CHECKS) as CheckName[];

/** Which server answers, where it is not the stack. */
export const SERVER_OPTIONS = {
  url: { type: 'string', value: 'URL', help: 'Another server with OpenAI’s API to ask, `moraine local serve` say.' },
  key: { type: 'string', value: 'KEY', help: 'What that server takes as API key.' },
} satisfies Record<string, Option>;

export const compareCommand: Command = {
  name: 'compare',
  forms: [
    '--rows FILE --ours MODEL --theirs ANSWERS.jsonl [--check NAME | --pattern REGEX | --suite NAME] [--out FILE] [--json]',
  ],
  options: {
    data: DATA_OPTION,
    rows: {
      type: 'string',
      value: 'FILE',
      help: 'Rows that neither was trained on: as they are trained on, the last answer of each is the expected one; or rows of --suite.',
    },
    ours: { type: 'string', value: 'MODEL', help: 'What is asked here: a base, an adapter, ft:… or ft:…:ckpt-step-N.' },
    theirs: {
      type: 'string',
      value: 'FILE',
      help: 'Saved answers of the other model: output of a batch, stored completions, conversations, or {"answer": "…"} a row.',
    },
    check: {
      type: 'string',
      value: 'NAME',
      help: `When an answer is right: ${CHECK_NAMES.join(', ')}; default exact: equal words in any case, equal numbers.`,
    },
    pattern: {
      type: 'string',
      value: 'REGEX',
      help: 'In place of --check: when it matches this pattern of JavaScript.',
    },
    suite: {
      type: 'string',
      value: 'NAME',
      help: 'Rows that say themselves how they are judged: answers, pattern, string_check, openai_evals, gsm8k, finance.',
    },
    lambda: { type: 'string', value: 'L', help: 'Share of the adapter’s update that answers, 0 to 1; default 1.' },
    limit: { type: 'string', value: 'N', help: 'The first N rows only; answers are saved to all of them.' },
    'max-tokens': { type: 'string', value: 'N', help: 'Tokens of an answer at most; default 256.' },
    raw: {
      type: 'boolean',
      help: 'Go on with the prompt of a row as it is, for a base that has no chat template.',
    },
    ...SERVER_OPTIONS,
    together: { type: 'string', value: 'N', help: 'Questions under way at once; default 8.' },
    out: { type: 'string', value: 'FILE', help: 'Write a page to show as well: a name that ends in .html or .md.' },
    list: { type: 'string', value: 'N', help: 'Rows that the page lists at most; default 50.' },
    json: { type: 'boolean', help: 'All figures and the answers to each row, as JSON.' },
  },
  run: async (args) => {
    noMoreThan(args, 0, compareCommand);
    const out = outOf(args);
    const { compared, facts, rows, by } = await compareBy(args);
    if (out !== null) writeFileSync(out.file, out.write(compared, facts));
    if (args.options.json) print(JSON.stringify({ ...facts, matched_by: by, ...compared, rows }));
    else print([compareText(compared, facts), ...(out === null ? [] : [`The page: ${out.file}`])].join('\n'));
    return 0;
  },
};

export interface Compared {
  compared: AnswerComparison;
  facts: CompareFacts;
  rows: AnsweredRow[];
  /** What the saved answers were found by. */
  by: string;
}

/** Asks ours what the options name and sets its answers beside the saved ones. */
export async function compareBy(args: Arguments): Promise<Compared> {
  const { check, words } = checkOf(args);
  const rowsFile = fileOf(args, 'rows');
  const theirsFile = fileOf(args, 'theirs');
  const suite = text(args, 'suite') ?? PLAIN_SUITE;
  const { readQuestions } = await import('@moraine/recipes');
  const all = await readQuestions({ file: rowsFile, suite, check });
  const saved = readSavedAnswers(readFileSync(theirsFile, 'utf8'), all);
  const paired = pairUp(all.slice(0, integer(args, 'limit', 1, 1_000_000)), saved.answers);
  const asked = await ask(
    args,
    paired.pairs.map(({ question }) => question),
  );
  const rows = await judge(paired.pairs, asked);
  const facts: CompareFacts = {
    ours: needed(args, 'ours', compareCommand),
    theirs: path.basename(theirsFile),
    rows: path.basename(rowsFile),
    check: words,
    notes: notesOf({ ...paired, asked, by: saved.by }),
    rowsMax: integer(args, 'list', 0, 100_000) ?? 50,
  };
  return { compared: compareAnswers(rows), facts, rows, by: saved.by };
}

type Write = (compared: AnswerComparison, facts: CompareFacts) => string;
const PAGES: Readonly<Record<string, Write>> = { '.html': compareHtml, '.md': compareMarkdown };

/** Known before an hour of questions, not after it. */
function outOf(args: Arguments): { file: string; write: Write } | null {
  const out = text(args, 'out');
  if (out === undefined) return null;
  const write = PAGES[path.extname(out)];
  if (write !== undefined) return { file: path.resolve(out), write };
  throw mistake(`--out is '${out}', which is no page.`, 'Give it a name that ends in .html or .md.');
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

function fileOf(args: Arguments, option: 'rows' | 'theirs'): string {
  const file = path.resolve(needed(args, option, compareCommand));
  if (statSync(file, { throwIfNoEntry: false })?.isFile()) return file;
  throw new AppError('not_found', `There is no file ${file}.`, { hint: `--${option} names a JSONL file.` });
}

async function ask(args: Arguments, questions: readonly RowQuestion[]): Promise<Asked[]> {
  const line = progressLine();
  const onAnswer = (done: number): void => {
    if (!args.options.json)
      line.show(`${done} of ${questions.length} rows asked`, String(Math.floor((10 * done) / questions.length)));
  };
  return askAll(questions, {
    ...placeOf(args),
    model: needed(args, 'ours', compareCommand),
    lambda: number(args, 'lambda', 0, 1),
    tokensMax: integer(args, 'max-tokens', 1, 1_000_000) ?? 256,
    isRaw: args.options.raw === true,
    together: integer(args, 'together', 1, 64) ?? 8,
    onAnswer,
  }).finally(line.clear);
}

/** Address and key of the server that answers. */
export function placeOf(args: Arguments): { baseUrl: string; apiKey: string } {
  const url = text(args, 'url');
  if (url !== undefined)
    return { baseUrl: `${url.replace(/(\/v1)?\/*$/, '')}/v1`, apiKey: text(args, 'key') ?? 'none' };
  const { origin, apiKey } = addressFor(args);
  return { baseUrl: `${origin}/v1`, apiKey };
}

interface Pair {
  question: RowQuestion;
  expected: string;
  theirs: string;
}

/** The rows that have a text to compare with and a saved answer, and how many have not. */
function pairUp(
  questions: readonly RowQuestion[],
  saved: readonly (string | null)[],
): { pairs: Pair[]; withoutText: number; withoutAnswer: number } {
  const found = questions.map((question, i) => ({ question, expected: question.expected, theirs: saved[i] ?? null }));
  const texts = found.filter((one): one is typeof one & { expected: string } => one.expected !== null);
  const pairs = texts.filter((one): one is Pair => one.theirs !== null);
  return { pairs, withoutText: found.length - texts.length, withoutAnswer: texts.length - pairs.length };
}

async function judge(pairs: readonly Pair[], asked: readonly Asked[]): Promise<AnsweredRow[]> {
  const rows: AnsweredRow[] = [];
  for (const [i, { question, expected, theirs }] of pairs.entries()) {
    const { text: ours = '', problem = null } = asked[i] ?? {};
    const isOursRight = problem === null && (await question.isRight(ours));
    const isTheirsRight = await question.isRight(theirs);
    rows.push({ id: question.id, question: question.question, expected, ours, theirs, isOursRight, isTheirsRight });
  }
  return rows;
}

function notesOf(found: { withoutText: number; withoutAnswer: number; asked: readonly Asked[]; by: string }): string[] {
  const refused = found.asked.flatMap(({ problem }) => problem ?? []);
  const left = (count: number, why: string): string[] => (count > 0 ? [`Rows left out: ${count}, ${why}.`] : []);
  return [
    ...left(found.withoutText, 'whose answer calls a tool, which is no text'),
    ...left(found.withoutAnswer, 'to which the old model has no saved answer'),
    ...(refused.length > 0
      ? [`Rows that count as wrong since ours refused them: ${refused.length}. ${refused[0]}`]
      : []),
    `Saved answers were found by the ${found.by} of their row.`,
  ];
}
