import { isObject, type Json, refuse, show } from '../row-problem.js';
import { ask, readOperation } from './answer-rows.js';
import { idOf, objectOf, textOf, wordsOf } from './fields.js';
import type { Check, Question } from './item.js';

/**
 * Exported OpenAI evals. The file holds the eval object (`testing_criteria`), a run's `data_source` with its `input_messages`, and rows `{"item": {…}}`, as
 * JSON Lines in this order or inside one object: `{"eval": …, "data_source": …, "items": [{…}]}`.
 */
export function readEvals(rows: readonly Json[], at: <T>(row: number, read: () => T) => T): Question[] {
  const [first = {}] = rows;
  const whole = rows.length === 1 && 'eval' in first ? first : null;
  const own = whole === null ? rows : listOf(whole, 'items').map((item) => ('item' in item ? item : { item }));
  const place = (i: number): number => (whole === null ? i : 0);
  const criterion = at(0, () => criterionOf(whole === null ? rows : [objectOf(whole, 'eval')]));
  const checkFor = at(0, () => checkOf(criterion));
  const template = at(0, () => templateOf(whole === null ? rows : [whole]));
  const questions = own.flatMap((row, i) =>
    'item' in row ? [at(place(i), () => questionOf(row, template, criterion, checkFor))] : [],
  );
  return questions.length > 0
    ? questions
    : at(0, () => refuse('/item', 'missing_key', 'No row has an item.', 'Add rows {"item": {…}} below the eval.'));
}

function listOf(row: Json, key: string): Json[] {
  const value = row[key];
  return Array.isArray(value) ? value.filter(isObject) : [];
}

/** The one criterion that is judged by. */
function criterionOf(rows: readonly Json[]): Json {
  const all = rows.flatMap((row) => listOf(row, 'testing_criteria'));
  const [criterion] = all;
  if (criterion === undefined)
    return refuse('/testing_criteria', 'missing_key', "'testing_criteria' is missing.", 'Put the eval object first.');
  if (all.length > 1)
    return refuse('/testing_criteria', 'invalid_value', `There are ${all.length} criteria.`, 'Keep one in a file.');
  return criterion;
}

function templateOf(rows: readonly Json[]): Json[] {
  for (const row of rows) {
    const source = isObject(row.data_source) ? row.data_source : row;
    const messages = isObject(source.input_messages) ? listOf(source.input_messages, 'template') : [];
    if (messages.length > 0) return messages;
  }
  const hint =
    'Add the data_source of a run: {"data_source": {"input_messages": {"type": "template", "template": […]}}}.';
  return refuse('/data_source', 'missing_key', 'No input_messages say what the model is asked.', hint);
}

function questionOf(row: Json, template: readonly Json[], criterion: Json, checkFor: (item: Json) => Check): Question {
  const item = objectOf(row, 'item');
  const asked = template.map((message) => fill(contentOf(message), item));
  const check = checkFor(item);
  return ask({
    id: idOf(row, 'id') ?? idOf(item, 'id'),
    prompt: asked.join('\n\n'),
    expected: check.type === 'python' ? '' : fill(wordsOf(criterion, 'reference'), item),
    check,
    isTurn: true,
  });
}

function contentOf({ content }: Json): string {
  if (typeof content === 'string') return content;
  const parts = Array.isArray(content) ? content : [content];
  return parts.map((part) => (isObject(part) ? textOf(part, 'text') : '')).join('');
}

/** The template with the columns of an item in it. */
function fill(template: string, item: Json): string {
  return template.replace(/\{\{\s*item\.([\w.]+)\s*\}\}/g, (_all, path: string) => {
    const value = path.split('.').reduce<unknown>((at, key) => (isObject(at) ? at[key] : undefined), item);
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return String(value);
    return refuse(
      `/item/${path}`,
      'missing_key',
      `The item has no text '${path}'.`,
      'The template of the eval names it.',
    );
  });
}

/** Graders of OpenAI's that are not taken, and why. */
const NOT_TAKEN: Readonly<Record<string, string>> = {
  label_model: 'it asks another model',
  score_model: 'it asks another model',
  multi: 'it is made of several',
  endpoint: 'it asks another machine',
};

/** How an answer to an item is judged. */
function checkOf(criterion: Json): (item: Json) => Check {
  const type = textOf(criterion, 'type');
  const why = Object.hasOwn(NOT_TAKEN, type) ? NOT_TAKEN[type] : undefined;
  if (why !== undefined)
    return refuse('/testing_criteria/0/type', 'invalid_value', `The grader '${type}' is not taken: ${why}.`, TAKEN);
  if (type === 'python') {
    const source = sourceOf(criterion);
    const least = thresholdOf({ pass_threshold: 1, ...criterion });
    return (item) => ({ type: 'python', source, item, least });
  }
  if (type === 'string_check') {
    refuseInput(criterion);
    const operation = readOperation(criterion);
    return () => ({ type: 'string', operation });
  }
  if (type === 'text_similarity') {
    refuseInput(criterion);
    refuseMetric(criterion);
    const least = thresholdOf(criterion);
    return () => ({ type: 'similarity', least });
  }
  return refuse('/testing_criteria/0/type', 'invalid_value', `The grader '${type}' is not known.`, TAKEN);
}

function refuseInput(criterion: Json): void {
  if (textOf(criterion, 'input').replace(/\s/g, '') !== '{{sample.output_text}}')
    refuse(
      '/testing_criteria/0/input',
      'invalid_value',
      `The grader looks at ${show(criterion.input)}.`,
      'What is judged is {{sample.output_text}}.',
    );
}

const TAKEN = 'Taken: string_check, text_similarity by fuzzy_match, and python.';

/** What OpenAI takes of a grader at most. */
const SOURCE_BYTES_MAX = 256 * 1024;

/** The program of a grader. That it runs is found out by running it. */
function sourceOf(criterion: Json): string {
  const source = wordsOf(criterion, 'source');
  if (Buffer.byteLength(source) > SOURCE_BYTES_MAX)
    return refuse('/testing_criteria/0/source', 'invalid_value', 'The program is longer than 256 KiB.', 'Shorten it.');
  if (/^def\s+grade\s*\(/m.test(source)) return source;
  const hint = 'Write def grade(sample, item): … with a number from 0 to 1 as its result.';
  return refuse('/testing_criteria/0/source', 'invalid_value', 'The program has no function grade.', hint);
}

function refuseMetric({ evaluation_metric: metric }: Json): void {
  if (metric !== 'fuzzy_match')
    refuse(
      '/testing_criteria/0/evaluation_metric',
      'invalid_value',
      `The similarity ${show(metric)} is not taken.`,
      TAKEN,
    );
}

function thresholdOf({ pass_threshold: least }: Json): number {
  if (typeof least === 'number' && least >= 0 && least <= 1) return least;
  return refuse(
    '/testing_criteria/0/pass_threshold',
    'invalid_value',
    `'pass_threshold' is ${show(least)}.`,
    'From 0 to 1.',
  );
}
