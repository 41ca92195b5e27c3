import { AppError } from '../errors.js';

/** A row that was asked, as far as its saved answer is found by it. */
export interface AskedRow {
  /** Its own id, or its number from 1. */
  id: string;
  /** What was asked, as text. */
  question: string;
}

export interface SavedAnswers {
  /** An answer to each row, in the order of the rows; null where none was saved or the request failed. */
  answers: (string | null)[];
  /** What the lines were found by. */
  by: 'order' | 'id' | 'question';
}

type Json = Record<string, unknown>;

interface Line {
  /** Number of the line, from 1. */
  at: number;
  id: string | null;
  question: string | null;
  answer: string | null;
}

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const objectsOf = (value: unknown): Json[] => (Array.isArray(value) ? value.filter(isObject) : []);
const textOf = (value: unknown): string | null => (typeof value === 'string' ? value : null);

const FORMS =
  'a line of a batch\'s output ("custom_id", "response"), a stored completion or response, a conversation ("messages") whose last message is the answer, or {"answer": "…"}';

/**
 * The answers that another model gave to rows. A line is one of a batch's output of OpenAI's API, a stored chat completion or response, a conversation with
 * the answer last, or `{"answer"}`. Batches are found by `custom_id`: the id of a row, or one that ends in its number; conversations by what was
 * asked; others by their order.
 * @throws AppError `invalid_file` naming the line.
 */
export function readSavedAnswers(text: string, rows: readonly AskedRow[]): SavedAnswers {
  const lines = linesOf(text).map(([at, value]) => readLine(value, at));
  if (lines.length === 0) throw refuse('The file holds no answers.', 'line 1', `Write a line a row: ${FORMS}.`);
  if (lines.every(({ id }) => id !== null)) return { answers: byId(lines, rows), by: 'id' };
  if (lines.every(({ question }) => question !== null)) return { answers: byQuestion(lines, rows), by: 'question' };
  if (lines.length === rows.length) return { answers: lines.map(({ answer }) => answer), by: 'order' };
  throw refuse(
    `There are ${lines.length} answers to ${rows.length} rows.`,
    `line ${lines.length}`,
    'Save one answer a row in the order of the rows, or lines with the custom_id of a batch.',
  );
}

/** Values with their lines: of JSON Lines, or of one list as the API returns it. */
function linesOf(written: string): [number, Json][] {
  const text = written.replace(/^\ufeff/, '');
  const whole = parse(text);
  if (isObject(whole) && Array.isArray(whole.data)) return objectsOf(whole.data).map((value, i) => [i + 1, value]);
  if (Array.isArray(whole)) return objectsOf(whole).map((value, i) => [i + 1, value]);
  return text.split('\n').flatMap((line, i): [number, Json][] => {
    if (line.trim() === '') return [];
    const value = parse(line);
    if (isObject(value)) return [[i + 1, value]];
    throw refuse(`Line ${i + 1} is no JSON object.`, `line ${i + 1}`, `Write a line a row: ${FORMS}.`);
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function readLine(value: Json, at: number): Line {
  const { custom_id: custom, metadata } = value;
  const id = textOf(custom) ?? (isObject(metadata) ? textOf(metadata.custom_id) : null);
  if ('response' in value || 'error' in value) return { at, id, question: null, answer: answerOfBatch(value, at) };
  const messages = objectsOf(value.messages);
  const last = messages.at(-1);
  if (last?.role === 'assistant')
    return { at, id, question: conversationText(messages.slice(0, -1)), answer: contentText(last.content) };
  if ('answer' in value && (value.answer === null || typeof value.answer === 'string'))
    return { at, id, question: null, answer: value.answer };
  return { at, id, question: null, answer: answerOfBody(value, at) };
}

/** A request of a batch that failed has no answer. */
function answerOfBatch({ response, error }: Json, at: number): string | null {
  if (error || !isObject(response)) return null;
  const { status_code: status, body } = response;
  return typeof status === 'number' && status >= 400 ? null : answerOfBody(isObject(body) ? body : {}, at);
}

/** Of `chat.completion`, `text_completion` or `response`. */
function answerOfBody(body: Json, at: number): string {
  const [choice] = objectsOf(body.choices);
  if (choice !== undefined) return contentText(isObject(choice.message) ? choice.message.content : choice.text);
  const output = objectsOf(body.output).flatMap(({ content }) => objectsOf(content));
  const texts = output.flatMap(({ type, text }) => (type === 'output_text' && typeof text === 'string' ? [text] : []));
  if (texts.length > 0) return texts.join('');
  throw refuse(`Line ${at} holds no answer.`, `line ${at}`, `A line is ${FORMS}.`);
}

/** What was asked in a conversation, as one text. `developer` is the newer word for `system`. */
export const conversationText = (messages: readonly Json[]): string =>
  messages
    .map(({ role, content }) => `${role === 'developer' ? 'system' : String(role)}: ${contentText(content)}`)
    .join('\n');

const contentText = (content: unknown): string =>
  typeof content === 'string'
    ? content
    : objectsOf(content)
        .map(({ text }) => textOf(text) ?? '')
        .join('');

function byId(lines: readonly Line[], rows: readonly AskedRow[]): (string | null)[] {
  const places = new Map(rows.map(({ id }, i) => [id, i]));
  const numbers = lines.map(({ id }) => Number(/(\d+)$/.exec(id ?? '')?.[1] ?? Number.NaN));
  const first = firstOf(numbers, rows.length);
  const isKnown = lines.every(({ id }) => places.has(id ?? ''));
  const answers: (string | null)[] = rows.map(() => null);
  const seen = new Set<number>();
  for (const [i, { at, id, answer }] of lines.entries()) {
    if (!isKnown && first === null) throw uncertain(numbers, rows.length);
    const place = isKnown ? places.get(id ?? '') : (numbers[i] ?? Number.NaN) - (first ?? 0);
    if (place === undefined || !(place >= 0 && place < rows.length))
      throw refuse(
        `Line ${at} is of '${id}', which is the id of no row and ends in the number of none of ${rows.length}.`,
        `line ${at}`,
        'Let custom_id be the id of the row, or end in its number from 0 or 1.',
      );
    if (seen.has(place))
      throw refuse(`Line ${at} is a second answer to '${id}'.`, `line ${at}`, 'Keep one answer a row.');
    seen.add(place);
    answers[place] = answer;
  }
  return answers;
}

/**
 * Whether lines count their rows from 0 or from 1; null where both may be: requests that failed are not among them, and the first or the last may be one. A
 * number beyond either is refused with its line.
 */
function firstOf(numbers: readonly number[], rows: number): 0 | 1 | null {
  if (numbers.includes(0)) return 0;
  return numbers.every((number) => number >= 1 && number < rows) ? null : 1;
}

const uncertain = (numbers: readonly number[], rows: number): AppError =>
  refuse(
    `The numbers at the end of custom_id go from ${Math.min(...numbers)} to ${Math.max(...numbers)} for ${rows} rows: whether they count from 0 or from 1 cannot be told.`,
    'line 1',
    'Add the lines of the requests that failed, which the batch has in a file of errors, or let custom_id be the id of the row.',
  );

/** Rows that ask the same have answers of their own, in their order. */
function byQuestion(lines: readonly Line[], rows: readonly AskedRow[]): (string | null)[] {
  const left = new Map<string, Line[]>();
  for (const line of lines) {
    const same = left.get(line.question ?? '');
    if (same) same.push(line);
    else left.set(line.question ?? '', [line]);
  }
  const answers = rows.map(({ question }) => left.get(question)?.shift()?.answer ?? null);
  if (answers.some((answer) => answer !== null)) return answers;
  throw refuse(
    'None of the conversations asks what a row asks.',
    'line 1',
    'Save the messages as they were sent: the system message too.',
  );
}

const refuse = (message: string, param: string, hint: string): AppError =>
  new AppError('invalid_file', message, { param, hint });
