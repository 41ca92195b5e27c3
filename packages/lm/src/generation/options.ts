import type { FeedValue } from '@moraine/engine';
import type { HostTensor } from '../host.js';
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

/** An adapter that a row may have. */
export interface RowAdapter {
  name: string;
  group: number;
  /** Its variables, `<path>.<role>`. */
  variables(): ReadonlyMap<string, HostTensor>;
}

/** The adapters that rows may have, and which each row has. */
export interface AdapterRows {
  /** @throws AppError `invalid_value` when there is none of that name. */
  find(name: string | null): RowAdapter | null;
  /** Gives a row of the caches an adapter, or none. */
  seat(row: number, adapter: RowAdapter | null): void;
  /**
   * What a pass over these rows feeds; an empty object where there is no room for any adapter. `isAll`: they are all rows, in order. `active`: those
   * that answer, default all of them.
   */
  feeds(rows: readonly number[], options?: { isAll?: boolean; active?: readonly number[] }): Record<string, FeedValue>;
  /** What a pass of one row without a row of the caches feeds. */
  outside(adapter: RowAdapter | null): Record<string, FeedValue>;
}

/** Whether choosing takes all scores, not the likeliest token alone. */
export const needsLogits = (options: GenerateOptions): boolean =>
  (options.temperature ?? 0) > 0 || (options.logprobs ?? 0) > 0 || options.constrain !== undefined || leans(options);
