import type { FeedValue } from '@moraine/engine';
import type { Sampling } from './sampling.js';
import type { Stopping } from './stopping.js';

/** What a call for answers may ask. */
export interface GenerateOptions extends Partial<Sampling>, Stopping {
  /** Longest answer, tokens. It also ends where prompt and answer fill the context. */
  maxNewTokens: number;
  /** Of the sampling, default 0. Prompt i of a call draws from a stream of its own, (seed, i), whatever is answered beside it. */
  seed?: number;
  /** Which stream of the seed each prompt draws from, in place of its number. */
  streams?: readonly number[];
  /** How many of the likeliest tokens to list at every place; 0, the default, is none. */
  logprobs?: number;
  /** Which resident adapter answers; absent or null is the base alone. */
  adapter?: string | null;
}

/** What a call feeds for an adapter to answer. @throws AppError `invalid_value` when none of that name is resident. */
export type AdapterFeeds = (adapter: string | null) => Record<string, FeedValue>;
