import type { FeedValue } from '@moraine/engine';
import type { Constraint } from './constraint/constraint.js';
import { type Leaning, leans, type Sampling } from './sampling.js';
import type { Stopping } from './stopping.js';

/** What an answer may be asked for. */
export interface GenerateOptions extends Partial<Sampling>, Leaning, Stopping {
  /** Longest answer, tokens. It also ends where prompt and answer fill the context. */
  maxNewTokens: number;
  /** Of the sampling, default 0. Prompt i of a call draws from a stream of its own, (seed, i), one number a token, whatever is answered beside it. */
  seed?: number;
  /** Which stream of the seed each prompt draws from, in place of its number. */
  streams?: readonly number[];
  /** How many of the likeliest tokens to list at every place; 0, the default, is none. */
  logprobs?: number;
  /** What an answer may say; called once for each answer. */
  constrain?: () => Constraint;
  /** Which resident adapter answers; absent or null is the base alone. */
  adapter?: string | null;
}

/** The adapters that rows of a batch may have. */
export interface AdapterRows {
  /** @throws AppError `invalid_value` when none of that name is resident. */
  check(adapter: string | null): void;
  /** What a pass feeds so that each row has its adapter; an empty object where there is no room for any. */
  feeds(rows: readonly (string | null)[]): Record<string, FeedValue>;
}

/** Whether choosing takes all scores, not the likeliest token alone. */
export const needsLogits = (options: GenerateOptions): boolean =>
  (options.temperature ?? 0) > 0 || (options.logprobs ?? 0) > 0 || options.constrain !== undefined || leans(options);
