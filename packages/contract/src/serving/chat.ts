import { z } from 'zod';
import { ANSWER_KEYS, FinishReason, only, streamedKeys, Usage } from './common.js';

const describe = <T extends z.ZodType>(schema: T, description: string): T => schema.describe(description);

const Name = z.string().regex(/^[\w.-]{1,64}$/, 'up to 64 letters, digits, _, - and .');

/** A tool that an answer may call. The chat template writes all of what a definition says. */
const Tool = z.strictObject({
  type: z.literal('function'),
  function: z.looseObject({
    name: Name,
    description: z.string().nullish(),
    parameters: z.record(z.string(), z.unknown()).nullish(),
    strict: only('strict', [false], 'Leave it out: arguments are not held to their schema.'),
  }),
});

const ToolChoice = z.union([
  z.enum(['none', 'auto', 'required']),
  z.strictObject({ type: z.literal('function'), function: z.strictObject({ name: Name }) }),
]);

/** `POST /v1/chat/completions`, as OpenAI's API has it; messages are those of training rows, checked as they are. */
export const ChatRequest = z
  .strictObject({
    ...ANSWER_KEYS,
    messages: z.array(z.record(z.string(), z.unknown())).min(1),
    max_tokens: describe(z.int().min(1).nullish(), 'Tokens of an answer at most. Default: what the context leaves.'),
    max_completion_tokens: describe(z.int().min(1).nullish(), 'The newer name of max_tokens.'),
    logprobs: describe(z.boolean().nullish(), 'The log-probability of each token.'),
    top_logprobs: describe(z.int().min(0).max(20).nullish(), 'Likeliest tokens listed at each place, with logprobs.'),
    tools: describe(z.array(Tool).nullish(), 'What an answer may call, written into the prompt by the chat template.'),
    tool_choice: describe(
      ToolChoice.nullish(),
      'none: no tool is called. auto, the default: the model chooses. required: one is called. Or the one that is called.',
    ),
    parallel_tool_calls: describe(z.boolean().nullish(), 'false: an answer ends after its first call. Default true.'),
    functions: only('functions', [[]], 'Leave it out.'),
    function_call: only('function_call', ['none', 'auto'], 'Leave it out.'),
    response_format: only(
      'response_format',
      [{ type: 'text' }, { type: 'json_object' }],
      'Answers are text, or {"type": "json_object"}: one object of JSON without a schema.',
    ).describe(
      '{"type": "json_object"}: each answer that ends by itself is one object of JSON. Default {"type": "text"}.',
    ),
    modalities: only('modalities', [['text']], 'Answers are text.'),
    audio: only('audio', [], 'Answers are text.'),
    prediction: only('prediction', [], 'Leave it out.'),
    web_search_options: only('web_search_options', [], 'The model sees what the request says, no more.'),
    reasoning_effort: only('reasoning_effort', ['none', 'medium'], 'Leave it out.'),
    verbosity: only('verbosity', ['medium'], 'Leave it out, and say in the prompt what is wanted.'),
    store: only('store', [false], 'Answers are not kept; leave it out.'),
    service_tier: only('service_tier', ['auto', 'default'], 'Leave it out.'),
    moderation: only('moderation', [], 'Leave it out.'),
    prompt_cache_key: z.string().nullish(),
    prompt_cache_retention: only('prompt_cache_retention', ['in_memory'], 'Leave it out.'),
    prompt_cache_options: only('prompt_cache_options', [], 'Leave it out.'),
    safety_identifier: z.string().nullish(),
  })
  .check(streamedKeys)
  .meta({ id: 'ChatRequest' });
export type ChatRequest = z.output<typeof ChatRequest>;

const Token = z.object({ token: z.string(), logprob: z.number(), bytes: z.array(z.int()) });

export const ChatLogprobs = z.object({
  content: z.array(Token.extend({ top_logprobs: z.array(Token) })),
  refusal: z.null(),
});
export type ChatLogprobs = z.infer<typeof ChatLogprobs>;

export const ChatFinishReason = z.enum([...FinishReason.options, 'tool_calls']);
export type ChatFinishReason = z.infer<typeof ChatFinishReason>;

const ToolCall = z.object({
  id: z.string(),
  type: z.literal('function'),
  /** `arguments` is a JSON text of an object. */
  function: z.object({ name: z.string(), arguments: z.string() }),
});
export type ToolCall = z.infer<typeof ToolCall>;

export const ChatCompletion = z
  .object({
    id: z.string(),
    object: z.literal('chat.completion'),
    created: z.int(),
    model: z.string(),
    choices: z.array(
      z.object({
        index: z.int(),
        message: z.object({
          role: z.literal('assistant'),
          /** Null where the answer is calls alone. */
          content: z.string().nullable(),
          refusal: z.null(),
          tool_calls: z.array(ToolCall).optional(),
        }),
        logprobs: ChatLogprobs.nullable(),
        finish_reason: ChatFinishReason,
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
        delta: z.object({
          role: z.literal('assistant').optional(),
          content: z.string().optional(),
          tool_calls: z.array(ToolCall.extend({ index: z.int() })).optional(),
        }),
        logprobs: ChatLogprobs.nullable(),
        finish_reason: ChatFinishReason.nullable(),
      }),
    ),
    usage: Usage.nullish(),
    system_fingerprint: z.string(),
  })
  .meta({ id: 'ChatChunk' });
export type ChatChunk = z.infer<typeof ChatChunk>;
