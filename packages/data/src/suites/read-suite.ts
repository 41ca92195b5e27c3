import { AppError, nearest } from '@moraine/contract';
import { SUITES, type Suite } from '@moraine/contract/suites';
import { createRandom } from '../random.js';
import type { Row } from '../row.js';
import { type Json, Refusal } from '../row-problem.js';
import { readRows } from '../validate-file.js';
import { ANSWER_READERS } from './answer-rows.js';
import { CHOICE_READERS } from './choice-rows.js';
import { readFinance } from './finance-rows.js';
import type { Question, SuiteItem, Task } from './item.js';
import { readEvals } from './openai-evals.js';
import { invalid, type PlacedRow, readObjects } from './read-objects.js';
import { readRequests } from './request-rows.js';

export interface SuiteOptions {
  /** A name of `SUITES`. */
  suite: string;
  /** Rows of the suite. */
  file: string;
  /** Items at most: the first ones, or with a seed as many drawn from all, in the order of the file. */
  limit?: number | null;
  /** Which items are drawn under a limit; without it the first ones are taken. */
  seed?: number | null;
  /** Solved examples before each item: the first rows of `examplesFile`. Default the suite's. */
  fewshot?: number | null;
  /**
   * Rows that examples are taken from, a training split say. Without it they are the first rows of `file`, which are then not asked
   * themselves.
   */
  examplesFile?: string | null;
}

export interface SuiteItems {
  suite: Suite;
  items: SuiteItem[];
  /** Solved examples before each item. */
  fewshot: number;
}

const READERS: Readonly<Record<string, (row: Json) => Question[]>> = {
  ...CHOICE_READERS,
  ...ANSWER_READERS,
  finance: readFinance,
};

/** Suites whose items are made of several rows. */
const WHOLE_READERS: Readonly<Record<string, typeof readRequests>> = {
  rc_5shot: readRequests,
  openai_evals: readEvals,
};

/** A suite by its name. @throws AppError `invalid_value`. */
export function requireSuite(name: string): Suite {
  const suite = SUITES.get(name);
  if (suite !== undefined) return suite;
  const names = [...SUITES.keys()];
  const near = nearest(name, names);
  throw new AppError('invalid_value', `There is no suite '${name}'.`, {
    param: 'suite',
    hint: near ? `Did you mean '${near}'? Known: ${names.join(', ')}.` : `Known: ${names.join(', ')}.`,
  });
}

/**
 * The items that a file asks: its rows, with examples before them and under a limit.
 * @throws AppError `invalid_value` for the options, `invalid_file` at the first row that is none of the suite, naming line and column.
 */
export async function readSuite(options: SuiteOptions): Promise<SuiteItems> {
  const suite = requireSuite(options.suite);
  const fewshot = options.fewshot ?? suite.fewshot;
  const examplesFile = options.examplesFile ?? null;
  const questions = await readQuestions(suite, options.file);
  const shown = examplesFile === null ? questions.slice(0, fewshot) : await readQuestions(suite, examplesFile);
  const before = examplesBefore(suite, shown, fewshot, examplesFile === null ? options.file : examplesFile);
  const asked = examplesFile === null ? questions.slice(fewshot) : questions;
  if (asked.length === 0)
    throw invalid(
      `All ${questions.length} rows are examples; none is left to be asked.`,
      'fewshot',
      'Give examples a file of their own.',
    );
  const items = choose(asked, options).map(({ question, place }, index) => ({
    index,
    id: question.id ?? place,
    prompt: question.prompt,
    task: withExamples(question.task, before),
  }));
  return { suite, items, fewshot };
}

interface PlacedQuestion {
  question: Question;
  /** Line or number of the row. */
  place: string;
}

/**
 * How many items the rows of a file ask, where all of them are rows of one suite, whichever; else the refusal of a later row by the first suite that reads the
 * first one, or null where none does.
 */
export async function countItems(file: string): Promise<number | AppError | null> {
  let rows: PlacedRow[];
  try {
    rows = await readObjects(file);
  } catch (error) {
    if (error instanceof AppError) return null;
    throw error;
  }
  const [first] = rows;
  let refusal: AppError | null = null;
  for (const name of [...Object.keys(READERS), ...Object.keys(WHOLE_READERS)]) {
    try {
      return questionsOf(name, rows).length;
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      const isOfRow = /^(Line|Row) /.test(error.message);
      if (isOfRow && !error.message.startsWith(`${first?.place}:`)) refusal ??= error;
    }
  }
  return refusal;
}

async function readQuestions({ name }: Suite, file: string): Promise<PlacedQuestion[]> {
  return name === 'file' ? plainQuestions(file) : questionsOf(name, await readObjects(file));
}

/** @throws AppError `invalid_file` at the first row that is none of the suite. */
function questionsOf(name: string, rows: readonly PlacedRow[]): PlacedQuestion[] {
  const read = READERS[name];
  const readAll = WHOLE_READERS[name];
  if (readAll !== undefined) {
    const questions = readAll(
      rows.map(({ row }) => row),
      (i, use) => orRefused(rows[i]?.place ?? '', use),
    );
    return questions.map((question, i) => ({ question, place: question.id ?? String(i + 1) }));
  }
  if (read === undefined) throw notYet(name);
  return rows.flatMap(({ place, row }: PlacedRow) =>
    orRefused(place, () => read(row)).map((question) => ({ question, place: numberOf(place) })),
  );
}

const notYet = (name: string): AppError =>
  new AppError('invalid_value', `The suite '${name}' cannot be read yet.`, {
    param: 'suite',
    hint: 'Take another one.',
  });

async function plainQuestions(file: string): Promise<PlacedQuestion[]> {
  const questions: PlacedQuestion[] = [];
  for await (const { line, row } of readRows(file))
    questions.push({
      place: String(line),
      question: { prompt: promptOf(row), task: { kind: 'loss', row }, example: null },
    });
  if (questions.length > 0) return questions;
  throw invalid('The file holds no rows.', 'line 1', 'Write one JSON object a line.');
}

function promptOf(row: Row): string {
  if (row.format === 'prompt_completion') return row.prompt;
  if (row.format === 'text') return '';
  return row.messages.map(({ role, content }) => `${role}: ${typeof content === 'string' ? content : ''}`).join('\n');
}

const numberOf = (place: string): string => place.slice(place.indexOf(' ') + 1);

function orRefused<T>(place: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const { key, message, hint } = error.problem;
    throw invalid(`${place}: ${message}`, `${place.toLowerCase()}${key}`, hint, error);
  }
}

/** What stands before each item. */
function examplesBefore(suite: Suite, shown: readonly PlacedQuestion[], fewshot: number, file: string): string {
  if (fewshot === 0) return '';
  const examples = shown.slice(0, fewshot).map(({ question }) => question.example);
  if (examples.includes(null))
    throw new AppError('invalid_value', `Rows of the suite '${suite.name}' cannot be examples.`, {
      param: 'fewshot',
      hint: 'Set fewshot to 0.',
    });
  if (examples.length < fewshot)
    throw new AppError('invalid_value', `${file} has ${shown.length} rows, ${fewshot} examples are wanted.`, {
      param: 'fewshot',
      hint: 'Ask for fewer, or name a file with more rows.',
    });
  return examples.map((example) => `${example}\n\n`).join('');
}

function withExamples(task: Task, before: string): Task {
  if (before === '' || task.kind === 'loss') return task;
  if (task.kind === 'choice') return { ...task, contexts: task.contexts.map((context) => before + context) };
  return { ...task, context: before + task.context };
}

/** The first items, or as many drawn ones in the order of the file. */
function choose<T>(all: readonly T[], { limit, seed }: SuiteOptions): readonly T[] {
  if (limit == null || limit >= all.length) return all;
  if (seed == null) return all.slice(0, limit);
  const places = createRandom(seed).sample(
    all.map((_, i) => i),
    limit,
  );
  return places.sort((a, b) => a - b).map((i) => all[i] as T);
}
