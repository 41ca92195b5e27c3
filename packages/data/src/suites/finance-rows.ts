import { isObject, type Json, refuse } from '../row-problem.js';
import { ask } from './answer-rows.js';
import { answerOf, idOf, objectOf, type RowForm, readByForm, textOf, textsOf, wordsOf } from './fields.js';
import type { Question } from './item.js';

/** An answer is a number or a few words on one line. */
const TOKENS_MAX = 64;

const about = (context: readonly string[], question: string, expected: string, id?: string): Question =>
  ask({
    id,
    prompt: `${context.join('\n')}\nQuestion: ${question}\nAnswer:`,
    expected,
    check: { type: 'answer' },
    stops: ['\n'],
    tokensMax: TOKENS_MAX,
  });

const FORMS: readonly RowForm<Question[]>[] = [
  {
    keys: ['question', 'gold_answer', 'context_chunks'],
    read: (row) => [
      about(
        objectsOf(row, 'context_chunks').map((chunk) => textOf(chunk, 'text')),
        wordsOf(row, 'question'),
        answerOf(row, 'gold_answer'),
        idOf(row, 'id'),
      ),
    ],
  },
  {
    keys: ['pre_text', 'post_text', 'table', 'qa'],
    read: (row) => {
      const qa = objectOf(row, 'qa');
      const context = [...textsOf(row, 'pre_text', 0), ...tableOf(row, 'table'), ...textsOf(row, 'post_text', 0)];
      const expected = answerOf(qa, 'exe_ans' in qa ? 'exe_ans' : 'answer');
      return [about(context, wordsOf(qa, 'question'), expected, idOf(row, 'id'))];
    },
  },
  {
    keys: ['table', 'paragraphs', 'questions'],
    read: (row) => {
      const paragraphs = objectsOf(row, 'paragraphs').map((paragraph) => textOf(paragraph, 'text'));
      const context = [...tableOf(objectOf(row, 'table'), 'table'), ...paragraphs];
      return objectsOf(row, 'questions').map((question) =>
        about(context, wordsOf(question, 'question'), spans(question), idOf(question, 'uid')),
      );
    },
  },
];

/** Rows of FinQA in its own shape or as chunks, and of TAT-QA, whose rows ask several questions on one page. */
export const readFinance = (row: Json): Question[] => readByForm(row, FORMS);

/** An answer of several spans is written one after the other; some of TAT-QA's are empty. */
function spans(question: Json): string {
  const { answer } = question;
  if (!Array.isArray(answer)) return answerOf(question, 'answer');
  const joined = answer.filter((span) => span !== '').join(', ');
  return wordsOf({ answer: joined }, 'answer');
}

function objectsOf(row: Json, key: string): Json[] {
  const value = row[key];
  if (Array.isArray(value) && value.every(isObject)) return value;
  return refuse(`/${key}`, 'wrong_type', `'${key}' is no list of objects.`, 'Write [{…}, …].');
}

function tableOf(row: Json, key: string): string[] {
  const value = row[key];
  if (Array.isArray(value) && value.every(Array.isArray))
    return (value as unknown[][]).map((cells) => cells.map(String).join(' | '));
  return refuse(`/${key}`, 'wrong_type', `'${key}' is no list of rows.`, 'Write [["a", "b"], …].');
}
