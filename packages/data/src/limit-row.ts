import { AppError } from '@moraine/contract';
import { limitTime, TimeUp } from './limit-time.js';
import type { TextTokenizer } from './tokenizer.js';

/** A row of any length has so long. */
const ROW_MS = 30_000;
/** And longer by its letters: a hundred times slower than a busy machine reads them. */
const LETTERS_A_MS = 20;

/** How long a row of so many letters may take; a row of everybody's data takes milliseconds. */
export const rowMsFor = (letters: number): number => ROW_MS + letters / LETTERS_A_MS;

/**
 * Runs work on rows, none of which may take longer than `msMax`.
 * @throws AppError `user_data` that names template or tokenizer as what took the time
 */
export function limitRow<T>(tokenizer: Pick<TextTokenizer, 'chatTemplate'>, msMax: number, work: () => T): T {
  try {
    return limitTime(msMax, work);
  } catch (cause) {
    if (!(cause instanceof TimeUp)) throw cause;
    const what = tokenizer.chatTemplate.isRendering() ? "The base's chat template" : "The base's tokenizer";
    throw new AppError('user_data', `${what} ${cause.message} for this row.`, {
      param: 'messages',
      hint: 'Look whether a loop of the template, or a pattern of the tokenizer, ever ends on it; leave the row out, or correct the base.',
      cause,
    });
  }
}
