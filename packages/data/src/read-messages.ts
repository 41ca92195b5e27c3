import { AppError } from '@moraine/contract';
import { refuseBrokenTexts } from './parse-row.js';
import type { ChatMessage } from './row.js';
import { readMessage } from './row-message.js';
import { isObject, Refusal } from './row-problem.js';

/**
 * The messages of a request for an answer: as those of rows, and a text may also be a list of text parts, which are put together.
 * @throws AppError `invalid_value` naming message and key.
 */
export function readMessages(messages: readonly unknown[]): ChatMessage[] {
  try {
    refuseBrokenTexts(messages, '/messages');
    return messages.map((message, i) => readMessage(withText(message), `/messages/${i}`, undefined));
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const { key, message, hint } = error.problem;
    throw new AppError('invalid_value', message, { param: dotted(key), hint, cause: error });
  }
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
