import type { GenerateOptions } from './options.js';
import type { Choice, Row, TokenProbability } from './rows.js';

export interface Completion {
  /** The answer's tokens, without the stop token; before a stop string, the fewest that say all of `text`. */
  ids: number[];
  /** Log-probability of each of them: natural logarithm, at temperature 1. */
  logprobs: number[];
  /** The likeliest tokens at each place, likeliest first; empty lists when none were wanted. */
  top: TokenProbability[][];
  /** The stop token that ended it, with the likeliest tokens there; null where something else did. */
  ending: Choice | null;
  /** The answer as text, cut before the stop string; null without `decode`. */
  text: string | null;
  /** `stop`: a stop token, a stop string or `isStopped`. `length`: `maxNewTokens` or the end of the context. `cancelled`: by the caller. */
  finishReason: NonNullable<Row['finishReason']>;
  /** How many tokens of the prompt were not read, because an earlier one that began alike had been. */
  cached: number;
}

/** An answer under way. */
export interface Answer {
  /** Settles when it has ended. Rejects with `nan_loss` when the model's scores are not numbers, and where its adapter cannot be read. */
  readonly completion: Promise<Completion>;
  /** Ends it before its next token: its row is free for another prompt by the next step. What was said by then is its completion. */
  cancel(): void;
}

export interface BeginOptions extends GenerateOptions {
  /** Which stream of random numbers of the seed it draws from; default 0. */
  stream?: number;
  /** Whose it is; default ''. What one tenant's prompts left in the caches is used for no other's. */
  tenant?: string;
  /** Which request of its tenant it belongs to: rows are shared out among requests, not among their answers. */
  request?: symbol;
  /**
   * It uses nothing that earlier prompts left in the caches, and takes the first free row: the last digits of its scores depend on what is
   * computed beside it, not on what was asked before.
   */
  readsWhole?: boolean;
  /** Called after every token, with the answer so far; it must not be changed. A stop string may take some of it back at the end. */
  onToken?: (answer: Readonly<Pick<Completion, 'ids' | 'logprobs' | 'top'>>) => void;
}
