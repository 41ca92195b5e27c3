import { z } from 'zod';
import { refusal } from '../errors.js';
import { Metadata } from '../run-request.js';

const describe = <T extends z.ZodType>(schema: T, description: string): T => schema.describe(description);
/** Texts that end an answer, and answers to a prompt: as many as OpenAI's API takes, or more. */
const STOPS_MAX = 16;
const ANSWERS_MAX = 128;

/** A key of OpenAI's API that says nothing here: taken at its default, where it changes nothing, and else refused by name. */
export const only = (key: string, values: readonly unknown[], hint: string) =>
  z
    .unknown()
    .refine((value) => value === undefined || value === null || values.some((one) => same(one, value)), {
      error: ({ input }) => `'${key}' is ${JSON.stringify(input)}, which this server does not do.`,
      params: refusal('invalid_value', hint),
    })
    .optional()
    .describe(`Not supported: taken as ${values.map((value) => JSON.stringify(value)).join(' or ') || 'null'} alone.`);

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

const Stops = z.union([z.string().min(1), z.array(z.string().min(1)).max(STOPS_MAX)]).nullish();

/** How an answer is drawn, and where it ends: the keys that both endpoints have. */
export const ANSWER_KEYS = {
  model: describe(z.string().min(1), 'A base, an adapter or a checkpoint; see GET /v1/models.'),
  stream: describe(z.boolean().nullish(), 'Sends the answer as it is written, as server-sent events.'),
  stream_options: z
    .strictObject({
      include_usage: describe(z.boolean().nullish(), 'A last event has the tokens that were used.'),
      include_obfuscation: only('include_obfuscation', [false], 'Leave it out.'),
    })
    .nullish(),
  temperature: describe(
    z.number().min(0).max(2).nullish(),
    'Logits are divided by it; 0 takes the likeliest token. Default 1.',
  ),
  top_p: describe(
    z.number().min(0).max(1).nullish(),
    'Draws from the likeliest tokens that have this share; 0: the likeliest alone. Default 1.',
  ),
  top_k: describe(z.int().min(0).nullish(), 'Draws from so many of the likeliest tokens; 0, the default, from all.'),
  min_p: describe(
    z.number().min(0).max(1).nullish(),
    'Draws from tokens with this share of the likeliest one’s probability. Default 0.',
  ),
  seed: describe(
    z
      .number()
      .refine(Number.isInteger, 'a whole number')
      .min(-(2 ** 63))
      .max(2 ** 63)
      .nullish(),
    'A whole number of 64 bits. The same seed, prompt and settings give the same answer, whatever is answered beside it. Chosen when absent.',
  ),
  stop: describe(Stops, `Texts that end the answer, which does not have them; at most ${STOPS_MAX}.`),
  n: describe(z.int().min(1).max(ANSWERS_MAX).nullish(), 'Answers to each prompt. Default 1.'),
  presence_penalty: describe(z.number().min(-2).max(2).nullish(), 'Taken from the logits of tokens the answer has.'),
  frequency_penalty: describe(z.number().min(-2).max(2).nullish(), 'The same as often as the answer has them.'),
  logit_bias: describe(
    z.record(z.string().regex(/^\d+$/, 'the id of a token'), z.number().min(-100).max(100)).nullish(),
    'Added to the logits of tokens, by id.',
  ),
  lambda: describe(
    z.number().min(0).max(1).nullish(),
    'Share of the adapter’s update that answers: 0 is the base. Default 1.',
  ),
  user: z.string().nullish(),
  metadata: Metadata.nullish(),
};

/** Refuses what only a stream has where none is asked for, as OpenAI's API does. */
export const streamedKeys = z.refine<{ stream?: boolean | null; stream_options?: unknown }>(
  ({ stream, stream_options }) => stream === true || stream_options == null,
  {
    error: "'stream_options' says what a stream has; this request asks for none.",
    path: ['stream_options'],
    params: refusal('invalid_value', "Leave it out, or add 'stream': true."),
  },
);

export const Usage = z.object({
  prompt_tokens: z.int(),
  completion_tokens: z.int(),
  total_tokens: z.int(),
  prompt_tokens_details: z
    .object({
      cached_tokens: describe(z.int(), 'Tokens of the prompts that were not read again after an earlier one.'),
    })
    .optional(),
});
export type Usage = z.infer<typeof Usage>;

/** `stop`: an end token or a stop text. `length`: max_tokens, or the end of the context. */
export const FinishReason = z.enum(['stop', 'length']);
export type FinishReason = z.infer<typeof FinishReason>;
