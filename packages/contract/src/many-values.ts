import { AppError } from './errors.js';

/** Values of one row or request: a conversation of 30,000 messages has fewer. Each takes some hundred bytes of memory while it is read. */
export const VALUES_MAX = 2 ** 18;

/** Whether a JSON text holds more values than a row or a request does, found without making any of them. */
export function isOfMany(text: string): boolean {
  if (text.length <= VALUES_MAX) return false;
  let count = 0;
  let isText = false;
  for (let i = 0; i < text.length && count <= VALUES_MAX; i++) {
    const letter = text.charCodeAt(i);
    if (letter === 0x22) isText = !isText;
    else if (isText && letter === 0x5c) i++;
    else if (!isText && (letter === 0x2c || letter === 0x5b || letter === 0x7b)) count++;
  }
  return count > VALUES_MAX;
}

/** Why a request of so many values is refused, before anything is made of it: nobody else is answered meanwhile. Null for one of fewer. */
export const refusalOfMany = (body: string): AppError | null =>
  isOfMany(body)
    ? new AppError('invalid_request', `The body holds more than ${VALUES_MAX} values.`, {
        hint: 'Send fewer at a time; a prompt that is a text is one value.',
      })
    : null;
