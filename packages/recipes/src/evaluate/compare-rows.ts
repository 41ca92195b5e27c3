import { type AnswerComparison, type AnsweredRow, compareAnswers, readSavedAnswers } from '@moraine/contract/compare';
import { type QuestionOptions, type RowQuestion, readQuestions } from './read-questions.js';

/** An answer of ours. */
export interface OwnAnswer {
  /** Empty where the question was refused. */
  text: string;
  /** Why this question was refused: too long for the context, say. */
  problem: string | null;
}

export interface CompareRowsOptions extends QuestionOptions {
  /** The file with the answers of the other model, as it is written. */
  saved: string;
  /** Asks ours; an answer to each question, in their order. */
  ask(questions: readonly RowQuestion[]): Promise<OwnAnswer[]>;
}

export interface ComparedRows {
  compared: AnswerComparison;
  rows: AnsweredRow[];
  /** What the saved answers were found by. */
  by: string;
  /** Sentences on rows that are left out, or count as wrong. */
  notes: string[];
}

/**
 * Sets answers of ours beside the saved ones of another model on the rows of a file that both answered.
 * @throws AppError as `readQuestions`, `readSavedAnswers` and `ask` do.
 */
export async function compareRows({ saved, ask, limit, ...options }: CompareRowsOptions): Promise<ComparedRows> {
  const all = await readQuestions(options);
  const { answers, by } = readSavedAnswers(saved, all);
  const paired = pairUp(all.slice(0, limit ?? all.length), answers);
  const own = await ask(paired.pairs.map(({ question }) => question));
  const rows = await judge(paired.pairs, own);
  return { compared: compareAnswers(rows), rows, by, notes: notesOf({ ...paired, own, by }) };
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

async function judge(pairs: readonly Pair[], own: readonly OwnAnswer[]): Promise<AnsweredRow[]> {
  const rows: AnsweredRow[] = [];
  for (const [i, { question, expected, theirs }] of pairs.entries()) {
    const { text: ours = '', problem = null } = own[i] ?? {};
    const isOursRight = problem === null && (await question.isRight(ours));
    const isTheirsRight = await question.isRight(theirs);
    rows.push({ id: question.id, question: question.question, expected, ours, theirs, isOursRight, isTheirsRight });
  }
  return rows;
}

function notesOf(found: {
  withoutText: number;
  withoutAnswer: number;
  own: readonly OwnAnswer[];
  by: string;
}): string[] {
  const refused = found.own.flatMap(({ problem }) => problem ?? []);
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
