import { nearest } from '@moraine/contract';
import { foreignForm } from './foreign-rows.js';
import type { Value } from './jinja/values.js';
import type { ChatRow, Row, RowFormat } from './row.js';
import { readTools } from './row-calls.js';
import { readMessage } from './row-message.js';
import {
  cut,
  isObject,
  type Json,
  Refusal,
  type RowProblem,
  readText,
  refuse,
  refuseBrokenTexts,
  refuseUnknownKeys,
  show,
} from './row-problem.js';

const FORMAT_KEYS: Record<RowFormat, readonly string[]> = {
  chat: ['messages', 'tools', 'parallel_tool_calls'],
  prompt_completion: ['prompt', 'completion'],
  text: ['text'],
};
const FORMS = '{"messages": [...]}, {"prompt": ..., "completion": ...} or {"text": ...}';

export interface ParseOptions {
  /** The format of the file's earlier rows. */
  expected?: RowFormat | undefined;
  /** The same value with its numbers and the order of its keys as written. */
  exact?: Value | undefined;
}

/** Reads one parsed line. */
export function parseRow(value: unknown, options: ParseOptions = {}): { row: Row } | { problem: RowProblem } {
  try {
    return { row: readRow(value, options) };
  } catch (error) {
    if (error instanceof Refusal) return { problem: error.problem };
    throw error;
  }
}

function readRow(value: unknown, { expected, exact }: ParseOptions): Row {
  if (!isObject(value)) {
    const hint = Array.isArray(value)
      ? 'npx moraine local convert FILE --out rows.jsonl writes each object of a list on a line of its own.'
      : `Write one object a line: ${FORMS}.`;
    refuse('', 'not_an_object', `The line holds ${show(value)}, not an object.`, hint);
  }
  refuseBrokenTexts(value, '');
  const format = formatOf(value);
  if (expected !== undefined && format !== expected) {
    const message = `This row is ${format}, the rows before it are ${expected}.`;
    refuse('', 'mixed_formats', message, 'Put rows of different formats into files of their own.');
  }
  refuseUnknownKeys(value, FORMAT_KEYS[format], '');
  switch (format) {
    case 'chat':
      return readChat(value, exact);
    case 'prompt_completion': {
      const prompt = readText(value, 'prompt', '');
      const completion = readText(value, 'completion', '');
      if (completion === '') {
        refuse(
          '/completion',
          'empty_value',
          'The completion is empty: there is nothing to learn.',
          'Write the answer or drop the row.',
        );
      }
      return { format, prompt, completion };
    }
    case 'text': {
      const text = readText(value, 'text', '');
      if (text === '') refuse('/text', 'empty_value', 'The text is empty: there is nothing to learn.', 'Drop the row.');
      return { format, text };
    }
    default:
      return format satisfies never;
  }
}

function formatOf(value: Json): RowFormat {
  const format = 'messages' in value ? 'chat' : 'prompt' in value || 'completion' in value ? 'prompt_completion' : null;
  const found = format ?? ('text' in value ? 'text' : null);
  const keys = Object.keys(value);
  if (found !== null && keys.every((key) => FORMAT_KEYS[found].includes(key))) return found;
  refuseForeignForm(value);
  if (found !== null) return found;
  for (const key of keys) {
    const near = nearest(key, ['messages', 'prompt', 'completion', 'text']);
    if (near)
      refuse(`/${cut(key, 60)}`, 'unknown_format', `'${cut(key, 60)}' is no key of a row.`, `Did you mean '${near}'?`);
  }
  const named = keys.length === 0 ? 'no keys' : `the keys ${cut(keys.slice(0, 8).join(', '), 200)}`;
  const message = `The row has ${named}; none of them says what to learn.`;
  return refuse('', 'unknown_format', message, `Write it as ${FORMS}.`);
}

function refuseForeignForm(value: Json): void {
  const form = foreignForm(value);
  if (form === null) return;
  const message = `This is a row of the form ${form.name}`;
  if (form.refusal !== null) refuse('', 'unknown_format', `${message}.`, `Such rows hold answers ${form.refusal}`);
  const hint = 'Convert the file: npx moraine local convert FILE --out rows.jsonl, then upload that.';
  refuse('', 'unknown_format', `${message}, which is read after a conversion.`, hint);
}

function readChat(value: Json, exact: Value | undefined): ChatRow {
  const { messages, tools } = value;
  if (!Array.isArray(messages) || messages.length === 0) {
    refuse(
      '/messages',
      'wrong_type',
      `'messages' is ${show(messages)}, not a list of messages.`,
      'Write [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}].',
    );
  }
  const exactOf = (key: string): Value[] => {
    const part = exact instanceof Map ? exact.get(key) : undefined;
    return Array.isArray(part) ? part : [];
  };
  const exactMessages = exactOf('messages');
  const read = messages.map((message: unknown, i) => readMessage(message, `/messages/${i}`, exactMessages[i]));
  if (!read.some((message) => message.role === 'assistant' && message.weight !== 0)) {
    const all = read.map((message) => message.role).join(', ');
    refuse(
      '/messages',
      'no_answer',
      `No assistant message to learn from (roles: ${show(all)}).`,
      'Add an assistant message, or give one a weight of 1.',
    );
  }
  if (tools === undefined || tools === null) return { format: 'chat', messages: read };
  if (!Array.isArray(tools)) {
    refuse('/tools', 'wrong_type', `'tools' is ${show(tools)}, not a list.`, 'Write the tool definitions as a list.');
  }
  const exactTools = exact === undefined ? undefined : exactOf('tools');
  return { format: 'chat', messages: read, tools: readTools(tools, '/tools', exactTools) };
}
