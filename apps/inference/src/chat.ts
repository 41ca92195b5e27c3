import { randomUUID } from 'node:crypto';
import { AppError } from '@moraine/contract';
import type { ChatChunk, ChatCompletion, ChatLogprobs, ChatRequest } from '@moraine/contract/serving';
import { readMessages } from '@moraine/data';
import type { Served } from '@moraine/recipes';
import { type Answers, type AnswerToken, beginAnswers } from './answer.js';
import { gather } from './gather.js';

export const FINGERPRINT = 'moraine';

/** Begins the answers to a conversation. @throws AppError as `beginAnswers` does, and for messages that the base's template refuses. */
export function beginChat(served: Served, request: ChatRequest): Answers {
  const { max_tokens, max_completion_tokens, logprobs, top_logprobs } = request;
  if ((top_logprobs ?? 0) > 0 && logprobs !== true)
    throw new AppError('invalid_value', `top_logprobs is ${top_logprobs} without logprobs.`, {
      param: 'top_logprobs',
      hint: 'Set logprobs to true as well.',
    });
  if (max_tokens != null && max_completion_tokens != null && max_tokens !== max_completion_tokens)
    throw new AppError('invalid_value', 'max_tokens and max_completion_tokens differ.', {
      param: 'max_tokens',
      hint: 'Leave max_tokens out: it is the older name.',
    });
  const { chatTemplate, encode } = served.tokenizer;
  const text = chatTemplate.render(readMessages(request.messages), { addGenerationPrompt: true });
  return beginAnswers(served, request, {
    prompts: [encode(text)],
    tokensMax: max_completion_tokens ?? max_tokens ?? null,
    keys: { prompt: 'messages', tokens: max_completion_tokens == null ? 'max_tokens' : 'max_completion_tokens' },
    logprobs: logprobs === true ? (top_logprobs ?? 0) : null,
  });
}

const common = (model: string) => ({
  id: `chatcmpl-${randomUUID()}`,
  created: Math.floor(Date.now() / 1_000),
  model,
  system_fingerprint: FINGERPRINT,
});

/** The whole of all answers. */
export async function wholeChat(answers: Answers, { model, logprobs }: ChatRequest): Promise<ChatCompletion> {
  const choices = await gather(answers);
  return {
    ...common(model),
    object: 'chat.completion',
    choices: choices.map(({ text, tokens, finishReason }, index) => ({
      index,
      message: { role: 'assistant', content: text, refusal: null },
      logprobs: logprobs === true ? toLogprobs(tokens) : null,
      finish_reason: finishReason,
    })),
    usage: answers.usage(),
  };
}

/** The answers as they are written: the role first, then text, and the reason of each end. */
export async function* chatChunks(
  answers: Answers,
  { model, logprobs, n, stream_options }: ChatRequest,
): AsyncGenerator<ChatChunk> {
  const withUsage = stream_options?.include_usage === true;
  const chunk = (choices: ChatChunk['choices']): ChatChunk => ({
    ...shared,
    object: 'chat.completion.chunk',
    choices,
    ...(withUsage ? { usage: null } : {}),
  });
  const shared = common(model);
  for (let index = 0; index < (n ?? 1); index++)
    yield chunk([{ index, delta: { role: 'assistant', content: '' }, logprobs: null, finish_reason: null }]);
  for await (const { index, text, tokens, finishReason } of answers.parts()) {
    const told = logprobs === true && tokens.length > 0 ? toLogprobs(tokens) : null;
    if (text !== '' || told !== null)
      yield chunk([{ index, delta: { content: text }, logprobs: told, finish_reason: null }]);
    if (finishReason !== null) yield chunk([{ index, delta: {}, logprobs: null, finish_reason: finishReason }]);
  }
  if (withUsage) yield { ...chunk([]), usage: answers.usage() };
}

const toToken = ({ text, logprob }: { text: string; logprob: number }) => ({
  token: text,
  logprob,
  bytes: [...Buffer.from(text)],
});

const toLogprobs = (tokens: readonly AnswerToken[]): ChatLogprobs => ({
  content: tokens.map((token) => ({ ...toToken(token), top_logprobs: token.top.map(toToken) })),
  refusal: null,
});
