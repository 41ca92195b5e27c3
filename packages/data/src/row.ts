import { nearest } from '@moraine/contract';

/** Who speaks. `developer` is OpenAI's newer word for `system` and is read as it. */
export type Role = 'system' | 'user' | 'assistant' | 'tool';

export interface ChatMessage {
  role: Role;
  /** Empty where an assistant message only calls tools. */
  content: string;
  name?: string;
  /** 0: this assistant message is context and not learned. Default 1. */
  weight?: 0 | 1;
  tool_calls?: unknown[];
  tool_call_id?: string;
}

export interface ChatRow {
  format: 'chat';
  messages: ChatMessage[];
  /** Tool definitions, handed to the chat template. */
  tools?: unknown[];
}
export interface PromptRow {
  format: 'prompt_completion';
  prompt: string;
  completion: string;
}
export interface TextRow {
  format: 'text';
  text: string;
}
/** One example of a training file. */
export type Row = ChatRow | PromptRow | TextRow;
export type RowFormat = Row['format'];

/** What is wrong with a row: where (JSON pointer), what came, what to do. */
export interface RowProblem {
  /** JSON pointer of the offending value inside the line, for example `/messages/1/role`; empty for the whole line. */
  key: string;
  code: RowProblemCode;
  message: string;
  hint: string;
}
export type RowProblemCode =
  | 'invalid_json'
  | 'invalid_encoding'
  | 'line_too_long'
  | 'not_an_object'
  | 'unknown_format'
  | 'mixed_formats'
  | 'unknown_key'
  | 'missing_key'
  | 'wrong_type'
  | 'invalid_value'
  | 'empty_value'
  | 'no_answer'
  | 'empty_file';

type Json = Record<string, unknown>;

const FORMAT_KEYS: Record<RowFormat, readonly string[]> = {
  chat: ['messages', 'tools', 'parallel_tool_calls'],
  prompt_completion: ['prompt', 'completion'],
  text: ['text'],
};
const MESSAGE_KEYS = ['role', 'content', 'name', 'weight', 'tool_calls', 'tool_call_id'];
const ROLES = ['system', 'user', 'assistant', 'tool', 'developer'];
const FORMS = '{"messages": [...]}, {"prompt": ..., "completion": ...} or {"text": ...}';

/** A value as it stands in the file, cut to a readable length. */
export function show(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

class Refusal extends Error {
  constructor(readonly problem: RowProblem) {
    super(problem.message);
  }
}
function refuse(key: string, code: RowProblemCode, message: string, hint: string): never {
  throw new Refusal({ key, code, message, hint });
}

/** Reads one parsed line. `expected` is the format of the file's earlier rows. */
export function parseRow(value: unknown, expected?: RowFormat): { row: Row } | { problem: RowProblem } {
  try {
    return { row: readRow(value, expected) };
  } catch (error) {
    if (error instanceof Refusal) return { problem: error.problem };
    throw error;
  }
}

function readRow(value: unknown, expected: RowFormat | undefined): Row {
  if (!isObject(value)) {
    refuse('', 'not_an_object', `The line holds ${show(value)}, not an object.`, `Write one object a line: ${FORMS}.`);
  }
  const format = formatOf(value);
  if (expected !== undefined && format !== expected) {
    const message = `This row is ${format}, the rows before it are ${expected}.`;
    refuse('', 'mixed_formats', message, 'Put rows of different formats into files of their own.');
  }
  refuseUnknownKeys(value, FORMAT_KEYS[format], '');
  switch (format) {
    case 'chat':
      return readChat(value);
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
  if ('messages' in value) return 'chat';
  if ('prompt' in value || 'completion' in value) return 'prompt_completion';
  if ('text' in value) return 'text';
  const keys = Object.keys(value);
  for (const key of keys) {
    const near = nearest(key, ['messages', 'prompt', 'completion', 'text']);
    if (near) refuse(`/${key}`, 'unknown_format', `'${key}' is no key of a row.`, `Did you mean '${near}'?`);
  }
  const found = keys.length === 0 ? 'no keys' : `the keys ${keys.slice(0, 8).join(', ')}`;
  return refuse(
    '',
    'unknown_format',
    `The row has ${found}; none of them says what to learn.`,
    `Rename them to one of ${FORMS}.`,
  );
}

function refuseUnknownKeys(value: Json, known: readonly string[], at: string): void {
  for (const key of Object.keys(value)) {
    if (known.includes(key)) continue;
    const near = nearest(key, known);
    const hint = near ? `Did you mean '${near}'? Otherwise remove it.` : `Remove it. Known here: ${known.join(', ')}.`;
    refuse(`${at}/${key}`, 'unknown_key', `Unknown key '${key}' with the value ${show(value[key])}.`, hint);
  }
}

function readText(value: Json, key: string, at: string): string {
  const text = value[key];
  if (text === undefined) {
    const near = nearest(key, Object.keys(value));
    const hint = near ? `Did you mean it by '${near}'?` : `Add "${key}": a text.`;
    refuse(`${at}/${key}`, 'missing_key', `'${key}' is missing.`, hint);
  }
  if (typeof text !== 'string') {
    refuse(`${at}/${key}`, 'wrong_type', `'${key}' is ${show(text)}, not a text.`, 'Put it between quotation marks.');
  }
  return text;
}

function readChat(value: Json): ChatRow {
  const { messages, tools } = value;
  if (!Array.isArray(messages) || messages.length === 0) {
    refuse(
      '/messages',
      'wrong_type',
      `'messages' is ${show(messages)}, not a list of messages.`,
      'Write [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}].',
    );
  }
  const read = messages.map((message: unknown, i) => readMessage(message, `/messages/${i}`));
  if (!read.some((message) => message.role === 'assistant' && message.weight !== 0)) {
    const all = read.map((message) => message.role).join(', ');
    refuse(
      '/messages',
      'no_answer',
      `No assistant message to learn from (roles: ${show(all)}).`,
      'Add an assistant message, or give one a weight of 1.',
    );
  }
  if (tools !== undefined && !Array.isArray(tools)) {
    refuse('/tools', 'wrong_type', `'tools' is ${show(tools)}, not a list.`, 'Write the tool definitions as a list.');
  }
  return { format: 'chat', messages: read, ...(tools === undefined ? {} : { tools: tools as unknown[] }) };
}

function readMessage(message: unknown, at: string): ChatMessage {
  if (!isObject(message)) {
    refuse(at, 'wrong_type', `The message is ${show(message)}, not an object.`, 'Write {"role": ..., "content": ...}.');
  }
  refuseUnknownKeys(message, MESSAGE_KEYS, at);
  const { role, weight, tool_calls: toolCalls } = message;
  if (role === undefined) refuse(`${at}/role`, 'missing_key', `'role' is missing.`, `Add one of ${ROLES.join(', ')}.`);
  if (typeof role !== 'string' || !ROLES.includes(role)) {
    const near = typeof role === 'string' ? nearest(role, ROLES) : null;
    const hint = near ? `Did you mean '${near}'?` : `Take one of ${ROLES.join(', ')}.`;
    refuse(`${at}/role`, 'invalid_value', `'role' is ${show(role)}.`, hint);
  }
  for (const key of ['name', 'tool_call_id']) {
    if (message[key] !== undefined && message[key] !== null) readText(message, key, at);
  }
  if (toolCalls !== undefined && toolCalls !== null && !Array.isArray(toolCalls)) {
    refuse(
      `${at}/tool_calls`,
      'wrong_type',
      `'tool_calls' is ${show(toolCalls)}, not a list.`,
      'Write the calls as a list.',
    );
  }
  const callsTools = Array.isArray(toolCalls) && toolCalls.length > 0;
  const isSilent = callsTools && (message.content === null || message.content === undefined);
  if (Array.isArray(message.content)) {
    refuse(
      `${at}/content`,
      'wrong_type',
      "'content' is a list of parts.",
      'Only text is learned here: write the text itself.',
    );
  }
  const content = isSilent ? '' : readText(message, 'content', at);
  if (role === 'assistant' && content === '' && !callsTools) {
    refuse(
      `${at}/content`,
      'empty_value',
      'The assistant message is empty: there is nothing to learn.',
      'Write the answer or drop the message.',
    );
  }
  if (weight !== undefined && weight !== 0 && weight !== 1) {
    refuse(`${at}/weight`, 'invalid_value', `'weight' is ${show(weight)}.`, 'Take 0 (not learned) or 1.');
  }
  if (weight !== undefined && role !== 'assistant') {
    refuse(
      `${at}/weight`,
      'invalid_value',
      `'weight' stands at a ${role} message.`,
      'Only assistant messages have a weight: remove it.',
    );
  }
  return {
    role: role === 'developer' ? 'system' : (role as Role),
    content,
    ...(typeof message.name === 'string' ? { name: message.name } : {}),
    ...(weight === undefined ? {} : { weight }),
    ...(callsTools ? { tool_calls: toolCalls as unknown[] } : {}),
    ...(typeof message.tool_call_id === 'string' ? { tool_call_id: message.tool_call_id } : {}),
  };
}

/** Characters that the model reads and writes in a row. */
export function rowCharacters(row: Row): number {
  switch (row.format) {
    case 'chat':
      return row.messages.reduce((sum, message) => sum + message.content.length, 0);
    case 'prompt_completion':
      return row.prompt.length + row.completion.length;
    case 'text':
      return row.text.length;
    default:
      return row satisfies never;
  }
}
