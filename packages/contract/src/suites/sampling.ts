import { z } from 'zod';
import { AppError } from '../errors.js';
import type { Suite } from './suites.js';

const describe = <T extends z.ZodType>(schema: T, description: string): T => schema.describe(description);

export const SAMPLES_MAX = 256;

/** How several answers to each item are drawn, as a request says it. */
export const SamplingRequest = z.strictObject({
  samples: describe(z.int().min(1).max(SAMPLES_MAX), 'Answers to each item.'),
  temperature: describe(
    z.number().gt(0).max(100).default(0.8),
    'Logits are divided by it. Default 0.8, of Codex (arXiv:2107.03374, §3.3) for many samples.',
  ),
  top_p: describe(
    z.number().gt(0).max(1).default(1),
    'Tokens are drawn from the likeliest ones that have this share of all probability. Default 1: from all.',
  ),
  seed: describe(
    z
      .int()
      .min(0)
      .max(2 ** 31 - 1)
      .default(0),
    'Of the draws. Sample i of an item is the same for a seed, wherever an evaluation goes on. Default 0.',
  ),
  ks: describe(
    z.array(z.int().min(1).max(SAMPLES_MAX)).min(1).max(16).optional(),
    'Figures pass@k, the chance that one of k samples is right, for each of these; none above `samples`. Default 1 and `samples`.',
  ),
});
export type SamplingRequest = z.output<typeof SamplingRequest>;

/** How several answers to each item are drawn, with nothing left open. */
export const Sampling = z
  .object({
    samples: z.int(),
    temperature: z.number(),
    top_p: z.number(),
    seed: z.int(),
    /** Ascending, each once. */
    ks: z.array(z.int()),
  })
  .meta({ id: 'Sampling' });
export type Sampling = z.infer<typeof Sampling>;

/**
 * What a request for samples comes to; null where it asks for none: the likeliest answer alone. `at` stands before the names of keys.
 * @throws AppError `invalid_value` for a suite whose items are not answered, and for a k above the number of samples.
 */
export function resolveSampling(asked: SamplingRequest | null | undefined, suite: Suite, at = ''): Sampling | null {
  if (asked == null) return null;
  if (suite.evaluator !== 'generate' && suite.evaluator !== 'code')
    throw new AppError(
      'invalid_value',
      `Items of the suite '${suite.name}' are scored, not answered: there is nothing to sample.`,
      {
        param: `${at}sampling`,
        hint: 'Leave it out, or take a suite whose items are answered.',
      },
    );
  const { samples, temperature, top_p, seed, ks = [1, samples] } = asked;
  const above = ks.find((k) => k > samples);
  if (above !== undefined)
    throw new AppError('invalid_value', `pass@${above} of ${samples} samples cannot be told.`, {
      param: `${at}sampling.ks`,
      hint: `Take at most ${samples}, or more samples.`,
    });
  return { samples, temperature, top_p, seed, ks: [...new Set(ks)].sort((a, b) => a - b) };
}
