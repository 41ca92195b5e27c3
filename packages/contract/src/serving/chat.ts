import { z } from 'zod';
import { ANSWER_KEYS, FinishReason, only, Usage } from './common.js';

const describe = <T extends z.ZodType>(schema: T, description: string): T => schema.describe(description);

/** `POST /v1/chat/completions`, as OpenAI's API has it; messages are those of training rows, checked as they are. */
export const ChatRequest = z
  .strictObject({
    ...ANSWER_KEYS,
    messages: z.array(z.record(z.string(), z.unknown())).min(1),
    max_tokens: describe(z.int().min(1).nullish(), 'Tokens of an answer at most. Default: what the context leaves.'),
    max_completion_tokens: describe(z.int().min(1).nullish(), 'The newer name of max_tokens.'),
    logprobs: describe(z.boolean().nullish(), 'The log-probability of each token.'),
    top_logprobs: describe(z.int().min(0).max(20).nullish(), 'Likeliest tokens listed at each place, with logprobs.'),
    tools: only('tools', [[]], 'Leave tools out: answers that call tools are not read here yet.'),
    tool_choice: only('tool_choice', ['none', 'auto'], 'Leave it out.'),
    parallel_tool_calls: only('parallel_tool_calls', [true, false], 'Leave it out.'),
    functions: only('functions', [[]], 'Leave it out.'),
    function_call: only('function_call', ['none', 'auto'], 'Leave it out.'),
    response_format: only('response_format', [{ type: 'text' }], 'Leave it out, and say in the prompt what is wanted.'),
    modalities: only('modalities', [['text']], 'Answers are text.'),
    audio: only('audio', [], 'Answers are text.'),
    prediction: only('prediction', [], 'Leave it out.'),
    web_search_options: only('web_search_options', [], 'The model sees what the request says, no more.'),
    reasoning_effort: only('reasoning_effort', ['none'], 'Leave it out.'),
    verbosity: only('verbosity', ['medium'], 'Leave it out, and say in the prompt what is wanted.'),
    store: only('store', [false], 'Answers are not kept; leave it out.'),
    service_tier: only('service_tier', ['auto', 'default'], 'Leave it out.'),
    prompt_cache_key: z.string().nullish(),
    safety_identifier: z.string().nullish(),
  })
  .meta({ id: 'ChatRequest' });
export type ChatRequest = z.output<typeof ChatRequest>;

const Token = z.object({ token: z.string(), logprob: z.number(), bytes: z.array(z.int()) });

export const ChatLogprobs = z.object({
  content: z.array(Token.extend({ top_logprobs: z.array(Token) })),
  refusal: z.null(),
});
export type ChatLogprobs = z.infer<typeof ChatLogprobs>;

export const ChatCompletion = z
  .object({
    id: z.string(),
    object: z.literal('chat.completion'),
    created: z.int(),
    model: z.string(),
    choices: z.array(
      z.object({
        index: z.int(),
        message: z.object({ role: z.literal('assistant'), content: z.string(), refusal: z.null() }),
        logprobs: ChatLogprobs.nullable(),
        finish_reason: FinishReason,
      }),
    ),
    usage: Usage,
    system_fingerprint: z.string(),
  })
  .meta({ id: 'ChatCompletion' });
export type ChatCompletion = z.infer<typeof ChatCompletion>;

export const ChatChunk = z
  .object({
    id: z.string(),
    object: z.literal('chat.completion.chunk'),
    created: z.int(),
    model: z.string(),
    choices: z.array(
      z.object({
        index: z.int(),
        delta: z.object({ role: z.literal('assistant').optional(), content: z.string().optional() }),
        logprobs: ChatLogprobs.nullable(),
        finish_reason: FinishReason.nullable(),
      }),
    ),
    usage: Usage.nullish(),
    system_fingerprint: z.string(),
  })
  .meta({ id: 'ChatChunk' });
export type ChatChunk = z.infer<typeof ChatChunk>;
