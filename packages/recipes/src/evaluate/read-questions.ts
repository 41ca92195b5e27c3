import { AppError } from '@moraine/contract';
import { conversationText } from '@moraine/contract/compare';
import { PLAIN_SUITE, type Suite } from '@moraine/contract/suites';
import { type AnswerTask, type RowTask, readSuite, type SuiteItem, toPlain } from '@moraine/data';
import { judgeAnswer } from './answers.js';
import { checkAnswer, type PlainCheck } from './checks.js';

type Json = Record<string, unknown>;

/** A row as a model is asked over HTTP, and how its answer is judged. */
export interface RowQuestion {
  id: string;
  /** What is asked, as text. */
  question: string;
  /** Messages of a conversation, with its tools; or a text that is gone on with. */
  ask: { messages: Json[]; tools: Json[] } | { prompt: string; stops: readonly string[] };
  /** What a right answer holds, empty where a program judges; null where the answer of the row calls tools: there is no text to compare with. */
  expected: string | null;
  isRight(answer: string): Promise<boolean>;
}

export interface QuestionOptions {
  file: string;
  /** A suite whose rows are answered, or `file`: rows as they are trained on, whose last answer is expected. */
  suite: string;
  /** How answers to rows of `file` are judged. */
  check: PlainCheck;
  limit?: number | null;
  seed?: number | null;
}

/**
 * The rows of a file as questions to a model elsewhere.
 * @throws AppError `invalid_value` for a suite that is not answered by text, `invalid_file` for rows that ask nothing.
 */
export async function readQuestions({ check, ...options }: QuestionOptions): Promise<RowQuestion[]> {
  const { suite, items } = await readSuite({ ...options, fewshot: 0 });
  if (suite.name !== PLAIN_SUITE && suite.evaluator !== 'generate')
    throw new AppError('invalid_value', `Rows of the suite '${suite.name}' are not answered by a text.`, {
      param: 'suite',
      hint: 'Score both models with `moraine eval`, or take rows with an expected answer.',
    });
  return items.map((item) => {
    const { task } = item;
    if (task.kind === 'generate') return askedQuestion(item, task, suite);
    if (task.kind === 'loss') return rowQuestion(item, task, check);
    throw new AppError('invalid_value', `Item ${item.id} is not answered by a text.`, { param: 'suite' });
  });
}

function askedQuestion(item: SuiteItem, task: AnswerTask, suite: Suite): RowQuestion {
  const messages = [{ role: 'user', content: task.context }];
  return {
    id: item.id,
    question: task.isTurn ? conversationText(messages) : task.context,
    ask: task.isTurn ? { messages, tools: [] } : { prompt: task.context, stops: task.stops },
    expected: task.expected,
    isRight: async (answer) => (await judgeAnswer(item, task, answer, suite)).verdict === 'right',
  };
}

/** A row that is trained on: what stands before its last answer is asked, and that answer is expected. */
function rowQuestion(item: SuiteItem, { row }: RowTask, check: PlainCheck): RowQuestion {
  if (row.format === 'text')
    throw new AppError('invalid_file', `Line ${item.id}: a row of text asks nothing.`, {
      param: `line ${item.id}`,
      hint: 'Compare on rows with messages, or with prompt and completion.',
    });
  const isChat = row.format === 'chat';
  const all = isChat ? row.messages : [{ role: 'user' as const, content: row.prompt }];
  const last = isChat ? all.findLastIndex(({ role, weight }) => role === 'assistant' && weight !== 0) : all.length;
  const expected = isChat ? all[last]?.content : row.completion;
  const messages = toPlain(all.slice(0, last).map(({ weight: _, ...message }) => message)) as Json[];
  return {
    id: item.id,
    question: conversationText(messages),
    ask: { messages, tools: isChat ? (toPlain(row.tools ?? []) as Json[]) : [] },
    expected: expected || null,
    isRight: async (answer) => Object.values(checkAnswer(answer, check, expected ?? ''))[0] === 1,
  };
}
