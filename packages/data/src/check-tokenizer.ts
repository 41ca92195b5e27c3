import { AppError } from '@moraine/contract';
import { PROBED_TOOL, type RenderOptions } from './chat-template.js';
import { limitTime, TimeUp } from './limit-time.js';
import type { ChatMessage } from './row.js';
import { loadTokenizer, openTokenizer, type TextTokenizer } from './tokenizer.js';
import type { ReadText } from './tokenizer-files.js';

const ASKED: ChatMessage = { role: 'user', content: 'Hello' };
const CONVERSATIONS: readonly (readonly ChatMessage[])[] = [
  [ASKED],
  [ASKED, { role: 'assistant', content: 'Hi' }],
  [{ role: 'system', content: 'Be brief.' }, ASKED, { role: 'assistant', content: 'Hi' }, ASKED],
];
/** Others take a millisecond. */
const TEMPLATE_MS = 5_000;
const ENCODE_MS = 20_000;
const TEXT = 'What is 1 + 1?\n\tTwo: ½ + ¾ + …';

/**
 * The tokenizer of a base, from its folder or the texts of its files, as registration accepts it and a run uses it: it is loaded, short
 * conversations are rendered by its chat template, and every token that they or any plain text make has a row in the embedding of
 * `vocabSize` rows. Its `encode` refuses a text that makes another. `day` is what a template takes for today.
 * @throws AppError `invalid_base` naming the file or the construct, and what to do.
 */
export async function loadBaseTokenizer(
  base: string | ReadText,
  vocabSize: number,
  day?: Date,
): Promise<TextTokenizer> {
  const tokenizer = typeof base === 'string' ? await loadTokenizer(base, day) : await openTokenizer(base, day);
  refuseForeignTokens(
    [tokenizer.ownIdMax, tokenizer.eosId, tokenizer.bosId ?? 0, tokenizer.padId],
    tokenizer,
    vocabSize,
  );
  const encode: TextTokenizer['encode'] = (text, options) => {
    const ids = tokenizer.encode(text, options);
    refuseForeignTokens(ids, tokenizer, vocabSize);
    return ids;
  };
  for (const text of [TEXT, ...conversationTexts(tokenizer)]) {
    try {
      limitTime(ENCODE_MS, () => tokenizer.decode(encode(text, { addSpecialTokens: true })));
    } catch (error) {
      throw error instanceof TimeUp ? endless("The base's tokenizer", 'tokenizer.json', error) : error;
    }
  }
  return { ...tokenizer, encode };
}

const endless = (what: string, param: string, cause: TimeUp): AppError =>
  new AppError('invalid_base', `${what} ${cause.message} for a conversation of three messages.`, {
    param,
    hint: 'Take the base as it came; a loop of the template, or a pattern of the tokenizer, may never end.',
    cause,
  });

/** What each chat template makes of short conversations; which roles it takes is its own affair. */
function conversationTexts({ chatTemplate, templates }: TextTokenizer): string[] {
  const asked: RenderOptions[] = templates.toolUse === null ? [{}] : [{}, { tools: [PROBED_TOOL] }];
  const options = asked.flatMap((one) => [one, { ...one, addGenerationPrompt: true }]);
  return CONVERSATIONS.flatMap((messages) =>
    options.flatMap((option) => {
      try {
        return limitTime(TEMPLATE_MS, () => chatTemplate.render(messages, option));
      } catch (error) {
        if (error instanceof TimeUp) throw endless("The base's chat template", 'chat_template', error);
        if (error instanceof AppError && error.code === 'user_data') return [];
        throw error;
      }
    }),
  );
}

/** A GPU gathers zeros for an id beyond the table and says nothing. */
function refuseForeignTokens(ids: readonly number[], tokenizer: TextTokenizer, vocabSize: number): void {
  const idMax = ids.reduce((a, b) => Math.max(a, b), 0);
  if (idMax < vocabSize) return;
  const token = tokenizer.decode([idMax], { skipSpecialTokens: false });
  throw new AppError(
    'invalid_base',
    `The tokenizer makes token ${idMax} (${JSON.stringify(token)}), but the base's vocabulary has ${vocabSize}.`,
    { param: 'tokenizer.json', hint: 'Register the base with its own tokenizer, or resize its embedding first.' },
  );
}
