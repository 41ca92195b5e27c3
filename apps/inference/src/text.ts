import { randomUUID } from 'node:crypto';
import type { TextCompletion, TextLogprobs, TextRequest } from '@moraine/contract/serving';
import { encodePrompt, type Served } from '@moraine/recipes';
import { type Answers, type AnswerToken, beginAnswers } from './answer.js';
import { FINGERPRINT } from './chat.js';
import { gather } from './gather.js';

/** What an older client expects where it says nothing. */
const TOKENS = 16;

/** Begins to go on with texts or token ids. @throws AppError as `beginAnswers` does. */
export function beginText(served: Served, request: TextRequest): Answers {
  return beginAnswers(served, request, {
    prompts: promptsOf(served, request.prompt),
    tokensMax: request.max_tokens ?? TOKENS,
    keys: { prompt: 'prompt', tokens: 'max_tokens' },
    logprobs: request.logprobs ?? null,
  });
}

function promptsOf({ tokenizer }: Served, prompt: TextRequest['prompt']): number[][] {
  const all = typeof prompt === 'string' ? [prompt] : prompt;
  if (typeof all[0] === 'number') return [all as number[]];
  return (all as (string | number[])[]).map((one) =>
    typeof one === 'string' ? encodePrompt(one, tokenizer, true) : one,
  );
}

const common = (model: string) => ({
  id: `cmpl-${randomUUID()}`,
  object: 'text_completion' as const,
  created: Math.floor(Date.now() / 1_000),
  model,
  system_fingerprint: FINGERPRINT,
});

export async function wholeText(answers: Answers, { model, logprobs }: TextRequest): Promise<TextCompletion> {
  const choices = await gather(answers);
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
  answers: Answers,
  { model, logprobs, stream_options }: TextRequest,
): AsyncGenerator<TextCompletion> {
  const shared = common(model);
  const withUsage = stream_options?.include_usage === true;
  const offsets = new Map<number, number>();
  for await (const { index, text, tokens, finishReason } of answers.parts()) {
    const from = offsets.get(index) ?? 0;
    offsets.set(index, from + tokens.reduce((sum, token) => sum + token.text.length, 0));
    const told = logprobs == null || tokens.length === 0 ? null : toLogprobs(tokens, from, logprobs);
    yield {
      ...shared,
      choices: [{ index, text, logprobs: told, finish_reason: finishReason }],
      ...(withUsage ? { usage: null } : {}),
    };
  }
  if (withUsage) yield { ...shared, choices: [], usage: answers.usage() };
}

function toLogprobs(tokens: readonly AnswerToken[], from: number, listed: number): TextLogprobs {
  let offset = from;
  const offsets = tokens.map(({ text }) => {
    const begin = offset;
    offset += text.length;
    return begin;
  });
  return {
    tokens: tokens.map(({ text }) => text),
    token_logprobs: tokens.map(({ logprob }) => logprob),
    top_logprobs:
      listed === 0
        ? null
        : tokens.map(({ text, logprob, top }) =>
            Object.fromEntries([...top.map((one) => [one.text, one.logprob] as const), [text, logprob] as const]),
          ),
    text_offset: offsets,
  };
}
