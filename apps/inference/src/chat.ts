import { randomUUID } from 'node:crypto';
import { AppError } from '@moraine/contract';
import type { ChatChunk, ChatCompletion, ChatLogprobs, ChatRequest } from '@moraine/contract/serving';
import { limitPrompt, readConversation } from '@moraine/data';
import { jsonConstraint, type Served } from '@moraine/recipes';
import { type Answers, type AnswerToken, beginAnswers, type TokenText } from './answer.js';
import { checkSize } from './check-size.js';
import { gather } from './gather.js';
import { type CallReading, chatParts, checkChoice, readingOf, usesTools } from './tools.js';

export const FINGERPRINT = 'moraine';

/** Answers to a conversation under way, and how the calls in them are read; null: they are text. */
export interface ChatAnswers extends Answers {
  reading: CallReading | null;
}

/**
 * Begins the answers to a conversation; `json` is the text of the request.
 * @throws AppError as `beginAnswers` does, for messages that the base's template refuses, and for tools whose calls are not read.
 */
export function beginChat(served: Served, request: ChatRequest, json: string): ChatAnswers {
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
  checkChoice(request);
  const { messages, tools = [] } = readConversation(request, json);
  const { reading, constrain, prompt } = limitPrompt(json.length, () => {
    const reading = usesTools(request) ? readingOf(served, request, tools) : null;
    const { chatTemplate, encode } = served.tokenizer;
    const text = chatTemplate.render(messages, { addGenerationPrompt: true, ...(reading && { tools }) });
    checkSize(served, text, 'messages');
    return { reading, constrain: constraintOf(served, request, reading), prompt: encode(text) };
  });
  const answers = beginAnswers(served, request, {
    prompts: [prompt],
    tokensMax: max_completion_tokens ?? max_tokens ?? null,
    keys: { prompt: 'messages', tokens: max_completion_tokens == null ? 'max_tokens' : 'max_completion_tokens' },
    logprobs: logprobs === true ? (top_logprobs ?? 0) : null,
    ...(constrain && { constrain }),
    ...(reading && { decode: () => reading.decode }),
    ...(reading?.isParallel === false && { isOver: (said: string) => reading.read(said, false).calls.length > 0 }),
  });
  return { ...answers, reading };
}

function constraintOf(
  served: Served,
  { response_format: format }: ChatRequest,
  reading: CallReading | null,
): ReturnType<typeof jsonConstraint> | undefined {
  if ((format as { type?: string } | null | undefined)?.type !== 'json_object') return reading?.constrain;
  if (reading === null) return jsonConstraint(served);
  throw new AppError('invalid_value', 'response_format asks for an object of JSON, and tools for calls.', {
    param: 'response_format',
    hint: 'Leave one of them out, or set tool_choice to none.',
  });
}

const common = (model: string) => ({
  id: `chatcmpl-${randomUUID()}`,
  created: Math.floor(Date.now() / 1_000),
  model,
  system_fingerprint: FINGERPRINT,
});

/** The whole of all answers. */
export async function wholeChat(answers: ChatAnswers, { model, logprobs }: ChatRequest): Promise<ChatCompletion> {
  const choices = await gather(chatParts(answers.parts(), answers.reading));
  return {
    ...common(model),
    object: 'chat.completion',
    choices: choices.map(({ text, calls, tokens, finishReason }, index) => ({
      index,
      message: {
        role: 'assistant',
        content: text === '' && calls.length > 0 ? null : text,
        refusal: null,
        ...(calls.length > 0 && { tool_calls: calls.map(({ index: _place, ...call }) => call) }),
      },
      logprobs: logprobs === true ? toLogprobs(tokens) : null,
      finish_reason: finishReason,
    })),
    usage: answers.usage(),
  };
}

/** The answers as they are written: the role first, then text and each call that is complete, and the reason of each end. */
export async function* chatChunks(
  answers: ChatAnswers,
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
  for await (const { index, text, calls, tokens, finishReason } of chatParts(answers.parts(), answers.reading)) {
    const told = logprobs === true && tokens.length > 0 ? toLogprobs(tokens) : null;
    if (text !== '' || told !== null)
      yield chunk([{ index, delta: { content: text }, logprobs: told, finish_reason: null }]);
    if (calls.length > 0) yield chunk([{ index, delta: { tool_calls: calls }, logprobs: null, finish_reason: null }]);
    if (finishReason !== null) yield chunk([{ index, delta: {}, logprobs: null, finish_reason: finishReason }]);
  }
  if (withUsage) yield { ...chunk([]), usage: answers.usage() };
}

const toToken = ({ text, bytes, logprob }: TokenText & { logprob: number }) => ({
  token: text,
  logprob,
  bytes: [...bytes],
});

const toLogprobs = (tokens: readonly AnswerToken[]): ChatLogprobs => ({
  content: tokens.map((token) => ({ ...toToken(token), top_logprobs: token.top.map(toToken) })),
  refusal: null,
});
