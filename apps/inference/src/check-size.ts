import { AppError } from '@moraine/contract';
import type { Served } from '@moraine/recipes';

type Words = Pick<Served, 'tokenizer' | 'vocabSize' | 'contextMax'>;

/** What a tokenizer takes out of a text before it is split: accents, say. */
const SLACK = 4;
const SMALL_BYTES = 2 ** 16;

const longest = new WeakMap<Words['tokenizer'], number>();

/**
 * Refuses a text that no tokens of the context can say, before it is split into tokens: of some megabytes that takes seconds in which nobody gets a token.
 * @throws AppError `invalid_value`.
 */
export function checkSize(words: Words, text: string, param: string): void {
  if (text.length <= SMALL_BYTES) return;
  const bytes = Buffer.byteLength(text);
  const most = Math.max(SMALL_BYTES, SLACK * words.contextMax * longestToken(words));
  if (bytes <= most) return;
  throw new AppError('invalid_value', `The prompt has ${bytes} bytes; the context is ${words.contextMax} tokens.`, {
    param,
    hint: 'Shorten the prompt.',
  });
}

/** Bytes of the longest token. */
function longestToken({ tokenizer, vocabSize }: Words): number {
  const known = longest.get(tokenizer);
  if (known !== undefined) return known;
  let most = 1;
  for (let id = 0; id < vocabSize; id++) most = Math.max(most, tokenizer.bytes(id)?.length ?? 0);
  longest.set(tokenizer, most);
  return most;
}
