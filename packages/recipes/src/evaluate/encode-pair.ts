import { AppError } from '@moraine/contract';
import { stripEnd, type TextTokenizer } from '@moraine/data';

/** Tokens to read, and those of the continuation, which come last. */
export interface EncodedPair {
  /** Context and continuation without its last token, at most the model's context. */
  ids: number[];
  continuation: number[];
}

/**
 * A context and what follows it, encoded as lm_eval 0.4.13's Hugging Face back end does (`_encode_pair`, `_loglikelihood_tokens`): together, and
 * split at the number of tokens of the context alone; spaces that end the context belong to the continuation; the tokenizer's own begin token, but
 * not a second one; what is too long loses its beginning.
 * @throws AppError `user_data` where the continuation is no token or does not fit alone.
 */
export function encodePair(
  context: string,
  continuation: string,
  { tokenizer, maxPositions }: { tokenizer: TextTokenizer; maxPositions: number },
): EncodedPair {
  const [before, after] = splitPair(context, continuation, tokenizer);
  if (after.length === 0 || after.length > maxPositions) throw unfit(continuation, after.length, maxPositions);
  const whole = [...before, ...after].slice(-(maxPositions + 1));
  return { ids: whole.slice(0, -1), continuation: after };
}

function splitPair(context: string, continuation: string, tokenizer: TextTokenizer): [number[], number[]] {
  const prefix = tokenizer.bosId ?? tokenizer.eosId;
  const kept = stripEnd(context);
  const rest = context.slice(kept.length) + continuation;
  if (kept === '') return afterPrefix(tokenizer.encode(rest), prefix);
  const prefixText = tokenizer.decode([prefix], { skipSpecialTokens: false });
  const encode = (text: string): number[] =>
    tokenizer.encode(text, { addSpecialTokens: prefixText === '' || !text.startsWith(prefixText) });
  const whole = encode(kept + rest);
  // The context as it is encoded alone: where a token of the whole crosses the boundary, the two differ before it.
  const alone = encode(kept);
  return alone.length === 0 ? afterPrefix(whole, prefix) : [alone, whole.slice(alone.length)];
}

/** A continuation that nothing stands before: the begin token does. */
const afterPrefix = (ids: readonly number[], prefix: number): [number[], number[]] =>
  ids[0] === prefix ? [ids.slice(0, 1), ids.slice(1)] : [[prefix], [...ids]];

function unfit(continuation: string, tokens: number, maxPositions: number): AppError {
  const what = `${JSON.stringify(continuation.slice(0, 60))} has ${tokens} tokens of its own`;
  return new AppError('user_data', `A choice cannot be scored: ${what}, the base reads ${maxPositions}.`, {
    hint: 'Shorten it, or leave the row out.',
  });
}
