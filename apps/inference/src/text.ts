import { randomUUID } from 'node:crypto';
import { AppError } from '@moraine/contract';
import type { TextCompletion, TextLogprobs, TextRequest } from '@moraine/contract/serving';
import { limitPrompt } from '@moraine/data';
import { encodePrompt, type Served } from '@moraine/recipes';
import {
  type AnswerPart,
  type Answers,
  type AnswerToken,
  beginAnswers,
  checkCount,
  describeTokens,
  type TokenText,
} from './answer.js';
import { FINGERPRINT } from './chat.js';
import { checkSize } from './check-size.js';
import { gather } from './gather.js';

/** What an older client expects where it says nothing. */
const TOKENS = 16;

/** A token of an answer, or of the prompt before it, whose first token has no score. */
type TextToken = Omit<AnswerToken, 'logprob' | 'top'> & {
  logprob: number | null;
  top: AnswerToken['top'] | null;
  /** How much of the text it is, UTF-16 code units: special tokens of answers are none of it. */
  width: number;
};
type TextPart = Omit<AnswerPart, 'tokens'> & { tokens: TextToken[] };

/** Answers with their prompts before them, where these are echoed. */
export interface TextAnswers extends Pick<Answers, 'usage' | 'cancel'> {
  parts(): AsyncGenerator<TextPart>;
}

/** Begins to go on with texts or token ids. @throws AppError as `beginAnswers` does. */
export function beginText(served: Served, request: TextRequest): TextAnswers {
  const { n, best_of, echo, logprobs } = request;
  if (best_of != null && best_of !== (n ?? 1))
    throw new AppError('invalid_value', `best_of is ${best_of} and n is ${n ?? 1}; all answers are given here.`, {
      param: 'best_of',
      hint: 'Leave it out, ask for n answers and choose.',
    });
  const prompts = promptsOf(served, request);
  const answers = beginAnswers(served, request, {
    prompts: prompts.map(({ ids }) => ids),
    tokensMax: request.max_tokens ?? null,
    tokensUnasked: TOKENS,
    keys: { prompt: 'prompt', tokens: 'max_tokens' },
    logprobs: logprobs ?? null,
    decode: (prompt) => decodeBehind(served, prompt),
    withEnding: true,
  });
  const widthOf = ({ id, text }: TokenText) => (served.tokenizer.specialIds.has(id) ? 0 : text.length);
  return {
    ...answers,
    async *parts() {
      if (echo === true) yield* echoes(served, request, prompts);
      for await (const { tokens, ...part } of answers.parts())
        yield { ...part, tokens: tokens.map((token) => ({ ...token, width: widthOf(token) })) };
    },
  };
}

/** The prompt of each answer as its first part. */
async function* echoes(served: Served, request: TextRequest, prompts: readonly Prompt[]): AsyncGenerator<TextPart> {
  const { logprobs } = request;
  const n = request.n ?? 1;
  for (const [p, prompt] of prompts.entries()) {
    const tokens = logprobs == null ? [] : await scorePrompt(served, request, prompt, logprobs);
    for (let i = 0; i < n; i++) yield { index: p * n + i, text: prompt.text, tokens, finishReason: null };
  }
}

interface Prompt {
  text: string;
  ids: readonly number[];
}

/** @throws AppError `invalid_value` for ids that the vocabulary does not have. */
function promptsOf(served: Served, { prompt, n }: TextRequest): Prompt[] {
  const { tokenizer, vocabSize } = served;
  const all = typeof prompt === 'string' || typeof prompt[0] === 'number' ? [prompt as string | number[]] : prompt;
  checkCount(all.length, n ?? 1);
  const letters = all.reduce<number>((sum, one) => sum + (typeof one === 'string' ? one.length : 0), 0);
  const promptOf = (one: string | number[]): Prompt => {
    if (typeof one === 'string') {
      checkSize(served, one, 'prompt');
      return { text: one, ids: encodePrompt(one, tokenizer, true) };
    }
    const beyond = one.find((id) => id >= vocabSize);
    if (beyond === undefined) return { text: tokenizer.pieces(one).join(''), ids: one };
    throw new AppError('invalid_value', `A prompt has the token ${beyond}; the vocabulary has ${vocabSize}.`, {
      param: 'prompt',
      hint: `Ids go from 0 to ${vocabSize - 1}.`,
    });
  };
  return limitPrompt(letters, () => (all as (string | number[])[]).map(promptOf));
}

/** Tokens of a prompt that text behind it may be written together with. */
const TAIL = 4;

/** Makes the text that tokens add behind a prompt: some tokenizers write the space before a word only behind another. */
export function decodeBehind(
  { tokenizer }: Pick<Served, 'tokenizer'>,
  prompt: readonly number[],
): (ids: readonly number[]) => string {
  const tail = prompt.slice(-TAIL);
  const decode = (ids: readonly number[]) => tokenizer.decode(ids, { skipSpecialTokens: true });
  const before = decode(tail);
  return (ids) => {
    const whole = decode([...tail, ...ids]);
    return whole.startsWith(before) ? whole.slice(before.length) : decode(ids);
  };
}

/** The tokens of a prompt with their log-probabilities. */
async function scorePrompt(
  served: Served,
  { model, lambda }: TextRequest,
  { text, ids }: Prompt,
  listed: number,
): Promise<TextToken[]> {
  const { logprobs, top } = await served.score(model, lambda ?? 1, ids, listed);
  const spelled = describeTokens(served.tokenizer, {
    ids: [...ids],
    logprobs: [Number.NaN, ...logprobs],
    top: [[], ...top],
  });
  const added = addedWidths(text, spelled, served.tokenizer.bosId);
  return spelled.map((token, i) => ({
    ...token,
    ...(i === 0 && { logprob: null, top: null }),
    width: token.text.length - (added[i] ?? 0),
  }));
}

/** How much of the first tokens is not in the text: the begin token and the space before the first word, which a tokenizer adds. */
function addedWidths(text: string, [first, second]: readonly AnswerToken[], bosId: number | null): number[] {
  const spaceOf = (word: AnswerToken | undefined) => Number(word?.text.startsWith(' ') && !text.startsWith(' '));
  const hasBegin = first !== undefined && first.id === bosId && !text.startsWith(first.text);
  return hasBegin ? [first.text.length, spaceOf(second)] : [spaceOf(first)];
}

const common = (model: string) => ({
  id: `cmpl-${randomUUID()}`,
  object: 'text_completion' as const,
  created: Math.floor(Date.now() / 1_000),
  model,
  system_fingerprint: FINGERPRINT,
});

export async function wholeText(answers: TextAnswers, { model, logprobs }: TextRequest): Promise<TextCompletion> {
  const choices = await gather(answers.parts());
  return {
    ...common(model),
    choices: choices.map(({ text, tokens, finishReason }, index) => ({
      index,
      text,
      logprobs: logprobs == null ? null : toLogprobs(tokens, 0, logprobs),
      finish_reason: finishReason,
    })),
    usage: answers.usage(),
  };
}

export async function* textChunks(
  answers: TextAnswers,
  { model, logprobs, stream_options }: TextRequest,
): AsyncGenerator<TextCompletion> {
  const shared = common(model);
  const withUsage = stream_options?.include_usage === true;
  const offsets = new Map<number, number>();
  for await (const { index, text, tokens, finishReason } of answers.parts()) {
    const from = offsets.get(index) ?? 0;
    offsets.set(index, from + tokens.reduce((sum, token) => sum + token.width, 0));
    const told = logprobs == null || tokens.length === 0 ? null : toLogprobs(tokens, from, logprobs);
    yield {
      ...shared,
      choices: [{ index, text, logprobs: told, finish_reason: finishReason }],
      ...(withUsage ? { usage: null } : {}),
    };
  }
  if (withUsage) yield { ...shared, choices: [], usage: answers.usage() };
}

function toLogprobs(tokens: readonly TextToken[], from: number, listed: number): TextLogprobs {
  let offset = from;
  const offsets = tokens.map(({ width }) => {
    const begin = offset;
    offset += width;
    return begin;
  });
  return {
    tokens: tokens.map(({ text }) => text),
    token_logprobs: tokens.map(({ logprob }) => logprob),
    top_logprobs: listed === 0 ? null : tokens.map(byName),
    text_offset: offsets,
  };
}

/** The likeliest tokens at a place, and the one that is there. */
function byName(token: TextToken): Record<string, number> | null {
  if (token.logprob === null || token.top === null) return null;
  const all = [...token.top, { ...token, logprob: token.logprob }];
  return Object.fromEntries(all.map((one) => [nameOf(one), one.logprob]));
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The text of a token; of one that is no whole letter its bytes, so that two such are not one. */
function nameOf({ bytes }: TokenText): string {
  try {
    return decoder.decode(bytes);
  } catch {
    return `bytes:${[...bytes].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')}`;
  }
}
