import { nearest } from '@moraine/contract';
import type { Value } from './jinja/values.js';
import type { ChatMessage, Role } from './row.js';
import { readCalls } from './row-calls.js';
import { isObject, type Json, readText, refuse, refuseUnknownKeys, show } from './row-problem.js';

const REASONING_KEYS = ['reasoning_content', 'reasoning', 'thinking'] as const;
const MESSAGE_KEYS = ['role', 'content', 'name', 'weight', 'tool_calls', 'tool_call_id', ...REASONING_KEYS];
/** What APIs and their clients write beside an answer; only empty values, which say nothing, are passed over. */
const EXPORTED_KEYS = ['refusal', 'annotations', 'audio', 'function_call', 'parsed'];
const ROLES = ['system', 'user', 'assistant', 'tool', 'developer'];

/**
 * Reads a message. `exact` is the same value with its numbers as written. In an answer that says nothing there is nothing to learn; it `mayBeEmpty` where
 * nothing is.
 */
export function readMessage(
  message: unknown,
  at: string,
  exact: Value | undefined,
  { mayBeEmpty = false } = {},
): ChatMessage {
  if (!isObject(message)) {
    refuse(at, 'wrong_type', `The message is ${show(message)}, not an object.`, 'Write {"role": ..., "content": ...}.');
  }
  refuseOldCall(message, at);
  refuseUnknownKeys(withoutEmptyExports(message), MESSAGE_KEYS, at);
  const role = readRole(message, at);
  for (const key of ['name', 'tool_call_id']) optionalText(message, key, at);
  const calls = readCalls(message, role, at, exact);
  const weight = readWeight(message, role, at);
  return {
    role,
    ...readContent(message, role, { callsTools: calls !== undefined, mayBeEmpty }, at),
    ...readReasoning(message, role, at),
    ...(typeof message.name === 'string' ? { name: message.name } : {}),
    ...(weight === undefined ? {} : { weight }),
    ...(calls === undefined ? {} : { tool_calls: calls }),
    ...(typeof message.tool_call_id === 'string' ? { tool_call_id: message.tool_call_id } : {}),
  };
}

/** The older way to call one function says something that must not be dropped. */
function refuseOldCall({ function_call: call }: Json, at: string): void {
  if (call === undefined || call === null) return;
  const written = '"tool_calls": [{"id": "call_0", "type": "function", "function": {"name": ..., "arguments": ...}}]';
  refuse(
    `${at}/function_call`,
    'unknown_key',
    `'function_call' is ${show(call)}: the older form of a call.`,
    `Write ${written}.`,
  );
}

function withoutEmptyExports(message: Json): Json {
  const isEmpty = (value: unknown): boolean => value === null || (Array.isArray(value) && value.length === 0);
  return Object.fromEntries(
    Object.entries(message).filter(([key, value]) => !(EXPORTED_KEYS.includes(key) && isEmpty(value))),
  );
}

function readRole({ role }: Json, at: string): Role {
  if (role === undefined) refuse(`${at}/role`, 'missing_key', `'role' is missing.`, `Add one of ${ROLES.join(', ')}.`);
  if (typeof role !== 'string' || !ROLES.includes(role)) {
    const near = typeof role === 'string' ? nearest(role, ROLES) : null;
    const hint = near ? `Did you mean '${near}'?` : `Take one of ${ROLES.join(', ')}.`;
    refuse(`${at}/role`, 'invalid_value', `'role' is ${show(role)}.`, hint);
  }
  return role === 'developer' ? 'system' : (role as Role);
}

const optionalText = (message: Json, key: string, at: string): string | undefined =>
  message[key] === undefined || message[key] === null ? undefined : readText(message, key, at);

/** The content as it is written: absent, null or a text. */
function readContent(
  message: Json,
  role: Role,
  { callsTools, mayBeEmpty }: { callsTools: boolean; mayBeEmpty: boolean },
  at: string,
): { content?: string | null } {
  const { content } = message;
  const key = `${at}/content`;
  if (Array.isArray(content)) refuseParts(content, key);
  if (callsTools && content === undefined) return {};
  if (callsTools && content === null) return { content };
  if (content === null && role === 'assistant') {
    const hint = 'Write the answer or the tool_calls, or drop the message.';
    refuse(key, 'wrong_type', "'content' is null, and the message calls no tool: there is nothing to learn.", hint);
  }
  const text = readText(message, 'content', at);
  if (role === 'assistant' && text === '' && !callsTools && !mayBeEmpty) {
    const hint = 'Write the answer or drop the message.';
    refuse(key, 'empty_value', 'The assistant message is empty: there is nothing to learn.', hint);
  }
  return { content: text };
}

function refuseParts(parts: readonly unknown[], key: string): never {
  const kinds = parts.map((part) => (isObject(part) && typeof part.type === 'string' ? part.type : 'unknown'));
  const other = kinds.findIndex((kind) => kind !== 'text');
  if (other < 0) {
    const hint = 'Only text is learned here: write the text itself.';
    refuse(key, 'wrong_type', "'content' is a list of parts.", hint);
  }
  const kind = kinds[other] ?? '';
  const what = kind.includes('image')
    ? 'Images'
    : kind.includes('audio')
      ? 'Sounds'
      : `Parts of the type ${show(kind)}`;
  const hint = 'Only text is learned here: drop the row, or write what matters as text.';
  refuse(`${key}/${other}`, 'invalid_value', `${what} are not supported.`, hint);
}

function readReasoning(message: Json, role: Role, at: string): Partial<ChatMessage> {
  const found = REASONING_KEYS.flatMap((key) => {
    const text = optionalText(message, key, at);
    return text === undefined ? [] : [[key, text] as const];
  });
  const [first] = found;
  if (first !== undefined && role !== 'assistant') {
    const hint = 'Only assistant messages have reasoning: remove it.';
    refuse(`${at}/${first[0]}`, 'invalid_value', `'${first[0]}' stands at a ${role} message.`, hint);
  }
  return Object.fromEntries(found);
}

function readWeight({ weight }: Json, role: Role, at: string): 0 | 1 | undefined {
  if (weight === undefined || weight === null) return undefined;
  const key = `${at}/weight`;
  if (weight !== 0 && weight !== 1) {
    const hint = 'Take 0 (not learned) or 1 (learned); parts of a weight are not supported.';
    refuse(key, 'invalid_value', `'weight' is ${show(weight)}.`, hint);
  }
  if (role === 'assistant') return weight;
  const hint = 'Only assistant messages have a weight: remove it.';
  return refuse(key, 'invalid_value', `'weight' stands at a ${role} message.`, hint);
}
