import { type Json, refuse, show } from '../row-problem.js';
import { answerOf, idOf, type RowForm, readByForm, textOf, wordsOf } from './fields.js';
import { type Check, type Question, STRING_OPERATIONS, type StringOperation } from './item.js';

/** Tokens of an answer at most, as lm_eval has it. */
const TOKENS_MAX = 256;
/** Of a program. */
const CODE_TOKENS_MAX = 1024;

export interface AnswerParts {
  id?: string | undefined;
  prompt: string;
  expected: string;
  check: Check;
  isTurn?: boolean;
  stops?: readonly string[];
  tokensMax?: number;
}

export function ask({ id, prompt, expected, check, isTurn = false, stops = [], ...rest }: AnswerParts): Question {
  const { tokensMax = TOKENS_MAX } = rest;
  return {
    id,
    prompt,
    task: { kind: 'generate', context: prompt, isTurn, stops, tokensMax, expected, check },
    example: isTurn ? null : `${prompt} ${expected}`,
  };
}

const GSM8K_STOPS = ['Question:', '</s>', '<|im_end|>'];

const GSM8K: readonly RowForm<Question>[] = [
  {
    keys: ['question', 'answer'],
    read: (row) =>
      ask({
        id: idOf(row, 'id'),
        prompt: `Question: ${wordsOf(row, 'question')}\nAnswer:`,
        expected: answerOf(row, 'answer'),
        check: { type: 'gsm8k' },
        stops: GSM8K_STOPS,
      }),
  },
];

/** A prompt of the user's own, and what is wanted of its answer in one of some columns. */
const own = (key: string, checkOf: (row: Json) => Check): RowForm<Question> => ({
  keys: ['prompt', key],
  read: (row) =>
    ask({
      id: idOf(row, 'id'),
      prompt: wordsOf(row, 'prompt'),
      expected: answerOf(row, key),
      check: checkOf(row),
      isTurn: true,
    }),
});

const ANSWERS = ['expected', 'completion', 'answer', 'reference'].map((key) => own(key, () => ({ type: 'answer' })));

const PATTERN = [own('pattern', (row) => readPattern(textOf(row, 'pattern'), row))];

function readPattern(pattern: string, row: Json): Check {
  const flags = row.flags === undefined ? '' : textOf(row, 'flags');
  try {
    new RegExp(pattern, flags);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    refuse(
      '/pattern',
      'invalid_value',
      `${message}.`,
      'Patterns are those of JavaScript; inside JSON each \\ is \\\\.',
    );
  }
  return { type: 'pattern', pattern, flags };
}

const STRING_CHECK = [own('reference', (row) => ({ type: 'string', operation: readOperation(row) }))];

export function readOperation({ operation = 'eq' }: Json): StringOperation {
  const known = STRING_OPERATIONS.find((name) => name === operation);
  if (known !== undefined) return known;
  const hint = `Known: ${STRING_OPERATIONS.join(', ')}: equal, not equal, holds it, holds it in any case.`;
  return refuse('/operation', 'invalid_value', `'operation' is ${show(operation)}.`, hint);
}

const HUMANEVAL_STOPS = ['\nclass', '\ndef', '\n#', '\nif', '\nprint'];

const HUMANEVAL: readonly RowForm<Question>[] = [
  {
    keys: ['prompt', 'test', 'entry_point'],
    read: (row) => {
      const prompt = wordsOf(row, 'prompt');
      const solution = typeof row.canonical_solution === 'string' ? row.canonical_solution : '';
      return {
        id: idOf(row, 'task_id', 'id'),
        prompt,
        task: {
          kind: 'code',
          context: prompt,
          stops: HUMANEVAL_STOPS,
          tokensMax: CODE_TOKENS_MAX,
          test: wordsOf(row, 'test'),
          entryPoint: wordsOf(row, 'entry_point'),
          solution,
        },
        example: solution === '' ? null : prompt + solution,
      };
    },
  },
];

const reader = (forms: readonly RowForm<Question>[]) => (row: Json) => [readByForm(row, forms)];

/** The suites of written answers whose rows are one item each. */
export const ANSWER_READERS: Readonly<Record<string, (row: Json) => Question[]>> = {
  gsm8k: reader(GSM8K),
  answers: reader(ANSWERS),
  pattern: reader(PATTERN),
  string_check: reader(STRING_CHECK),
  humaneval: reader(HUMANEVAL),
};
