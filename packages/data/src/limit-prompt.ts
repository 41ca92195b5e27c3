import { AppError } from '@moraine/contract';
import { limitTime, TimeUp } from './limit-time.js';

/** A prompt of any length has so long: whoever else asks the same process waits meanwhile. */
const PROMPT_MS = 5_000;
/** And longer by its letters: ten times slower than a busy machine reads them. */
const LETTERS_A_MS = 200;

/** In tenths of a second, as the refusal says it. */
const msFor = (letters: number): number => Math.ceil((PROMPT_MS + letters / LETTERS_A_MS) / 100) * 100;

/**
 * Runs what makes tokens of a request of so many letters by a base's chat template and tokenizer, which may never end on it.
 * @throws AppError `user_data` where it takes too long.
 */
export function limitPrompt<T>(letters: number, work: () => T, msMax = msFor(letters)): T {
  try {
    return limitTime(msMax, work);
  } catch (cause) {
    if (!(cause instanceof TimeUp)) throw cause;
    throw new AppError('user_data', `The base's chat template or tokenizer ${cause.message} for this prompt.`, {
      hint: 'A loop of the template, or a pattern of the tokenizer, may never end on it: change the prompt, or correct the base.',
      cause,
    });
  }
}
