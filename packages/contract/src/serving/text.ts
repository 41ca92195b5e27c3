import { z } from 'zod';
import { ANSWER_KEYS, FinishReason, only, streamedKeys, Usage } from './common.js';

const describe = <T extends z.ZodType>(schema: T, description: string): T => schema.describe(description);

const Ids = z.array(z.int().min(0)).min(1);

/** `POST /v1/completions`, as OpenAI's API has it: texts or token ids that the model goes on with, without a chat template. */
export const TextRequest = z
  .strictObject({
    ...ANSWER_KEYS,
    prompt: describe(
      z.union([z.string(), z.array(z.string()).min(1), Ids, z.array(Ids).min(1)]),
      'A text, texts, token ids, or lists of them.',
    ),
    max_tokens: describe(z.int().min(0).nullish(), 'Tokens of an answer at most. Default 16.'),
    logprobs: describe(
      z.int().min(0).max(20).nullish(),
      'Lists each token’s log-probability and so many likeliest ones.',
    ),
    echo: describe(z.boolean().nullish(), 'The prompt before each answer, with logprobs those of its tokens as well.'),
    best_of: describe(z.int().min(1).nullish(), 'Not supported: taken where it equals n.'),
    suffix: only('suffix', [''], 'Write what comes before alone.'),
  })
  .check(streamedKeys)
  .meta({ id: 'TextRequest' });
export type TextRequest = z.output<typeof TextRequest>;

export const TextLogprobs = z.object({
  tokens: z.array(z.string()),
  /** Null for the first token of an echoed prompt, which has nothing before it. */
  token_logprobs: z.array(z.number().nullable()),
  /** By text; a token that is no whole letter is called by its bytes, `bytes:\xe2`. */
  top_logprobs: z.array(z.record(z.string(), z.number()).nullable()).nullable(),
  /** Where each token begins in the text, UTF-16 code units. */
  text_offset: z.array(z.int()),
});
export type TextLogprobs = z.infer<typeof TextLogprobs>;

export const TextCompletion = z
  .object({
    id: z.string(),
    object: z.literal('text_completion'),
    created: z.int(),
    model: z.string(),
    choices: z.array(
      z.object({
        index: z.int(),
        text: z.string(),
        logprobs: TextLogprobs.nullable(),
        finish_reason: FinishReason.nullable(),
      }),
    ),
    usage: Usage.nullish(),
    system_fingerprint: z.string(),
  })
  .meta({ id: 'TextCompletion' });
export type TextCompletion = z.infer<typeof TextCompletion>;
