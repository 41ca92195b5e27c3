import { AppError } from '@moraine/contract';
import { toValue } from './chat-template.js';
import { readExact } from './exact-json.js';
import type { Value } from './jinja/values.js';
import type { ChatMessage } from './row.js';
import { readMessage } from './row-message.js';
import { isObject, Refusal, refuseBrokenTexts } from './row-problem.js';

/** What a request for an answer says to the chat template. */
export interface Conversation {
  messages: ChatMessage[];
  /** Absent where there are none. */
  tools?: readonly unknown[];
}

/**
 * The messages of a request for an answer: as those of rows, and a text may also be a list of text parts, which are put together. `json` is
 * the request's text, of which calls and tools keep their numbers and the order of their keys.
 * @throws AppError `invalid_value` naming message and key.
 */
export function readConversation(
  { messages, tools }: { messages: readonly unknown[]; tools?: readonly unknown[] | null | undefined },
  json: string,
): Conversation {
  try {
    refuseBrokenTexts(messages, '/messages');
    refuseBrokenTexts(tools, '/tools');
    const hasTools = (tools ?? []).length > 0;
    const isExact = hasTools || messages.some((message) => isObject(message) && message.tool_calls);
    const exact = isExact ? readExact(json).value : null;
    const partOf = (key: string): Value[] => {
      const part = exact instanceof Map ? exact.get(key) : undefined;
      return Array.isArray(part) ? part : [];
    };
    const exactMessages = partOf('messages');
    const read = messages.map((message, i) => readSaid(withText(message), `/messages/${i}`, exactMessages[i]));
    return { messages: read, ...(hasTools ? { tools: partOf('tools') } : {}) };
  } catch (error) {
    if (error instanceof RangeError)
      throw new AppError('invalid_value', `${error.message}.`, { hint: 'Write it less deep.', cause: error });
    if (!(error instanceof Refusal)) throw error;
    const { key, message, hint } = error.problem;
    throw new AppError('invalid_value', message, { param: dotted(key), hint, cause: error });
  }
}

/** A message as a client says it again; an answer that said nothing is part of its conversation. */
function readSaid(message: unknown, at: string, exact: Value | undefined): ChatMessage {
  const read = readMessage(message, at, exact, { mayBeEmpty: true });
  return read.tool_calls === undefined ? read : { ...read, tool_calls: read.tool_calls.map(withoutParsed) };
}

/** A call without its arguments as OpenAI's clients have read them, which they say beside those that were written. */
function withoutParsed(call: unknown): unknown {
  const whole = toValue(call);
  const called = whole instanceof Map ? whole.get('function') : undefined;
  if (!(whole instanceof Map && called instanceof Map && called.has('parsed_arguments'))) return call;
  return new Map([...whole, ['function', new Map([...called].filter(([key]) => key !== 'parsed_arguments'))]]);
}

/** A message whose content is a list of texts, with one text; any other as it is. */
function withText(message: unknown): unknown {
  if (!isObject(message) || !Array.isArray(message.content)) return message;
  const texts = message.content.map((part: unknown) =>
    isObject(part) && part.type === 'text' && typeof part.text === 'string' ? part.text : null,
  );
  return texts.includes(null) ? message : { ...message, content: texts.join('') };
}

/** `/messages/1/role` as `messages[1].role`. */
const dotted = (pointer: string): string =>
  pointer
    .slice(1)
    .split('/')
    .reduce((path, key) => (/^\d+$/.test(key) ? `${path}[${key}]` : `${path}.${key}`));
