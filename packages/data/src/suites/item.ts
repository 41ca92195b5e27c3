import type { Row } from '../row.js';
import type { Json } from '../row-problem.js';

/** How a written answer is judged. */
export type Check =
  /** Equal after `normalizeAnswer`; numbers within a ten-thousandth. */
  | { type: 'answer' }
  /** The number after `####`, and the last number of the text. */
  | { type: 'gsm8k' }
  | { type: 'pattern'; pattern: string; flags: string }
  | { type: 'string'; operation: StringOperation }
  /** As like as this to what is expected, from 0 to 1. */
  | { type: 'similarity'; least: number }
  /** A program's `grade(sample, item)` is at least this, from 0 to 1; it is run in the sandbox. */
  | { type: 'python'; source: string; item: Json; least: number };

export const STRING_OPERATIONS = ['eq', 'ne', 'like', 'ilike'] as const;
export type StringOperation = (typeof STRING_OPERATIONS)[number];

/** Choices after their contexts: where the contexts differ the choices are the same text, and the other way round. */
export interface ChoiceTask {
  kind: 'choice';
  contexts: string[];
  /** With the space that stands before them. */
  continuations: string[];
  /** What the scores are divided by is counted on these. */
  choices: string[];
  gold: number;
}

export interface AnswerTask {
  kind: 'generate';
  /** Examples and prompt. */
  context: string;
  /** A user's turn where the base has a chat template; else the context is read as it is. */
  isTurn: boolean;
  stops: readonly string[];
  tokensMax: number;
  expected: string;
  check: Check;
}

export interface CodeTask {
  kind: 'code';
  context: string;
  stops: readonly string[];
  tokensMax: number;
  /** Python that defines `check`, and the name of the function that it is called with. */
  test: string;
  entryPoint: string;
  solution: string;
}

export interface RowTask {
  kind: 'loss';
  row: Row;
}

export type Task = ChoiceTask | AnswerTask | CodeTask | RowTask;

/** What is asked of a model. */
export interface SuiteItem {
  /** Place among the items, from 0. */
  index: number;
  /** The row's own id, or its line. */
  id: string;
  /** What is asked, without examples. */
  prompt: string;
  task: Task;
}

/** An item as a row asks it, before examples are put in front. */
export interface Question {
  id?: string | undefined;
  prompt: string;
  task: Task;
  /** The prompt with its answer, as an example before other items; null where a row can be none. */
  example: string | null;
}
