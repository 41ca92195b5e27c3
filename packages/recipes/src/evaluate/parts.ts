import { AppError, type ReadAs } from '@moraine/contract';
import type { EvaluationItem, Sampling, Suite } from '@moraine/contract/suites';
import type { SuiteItem } from '@moraine/data';
import type { NumericMode } from '@moraine/engine';
import type { Model } from '@moraine/lm';
import type { OpenModel } from './open-model.js';

export interface EvaluateOptions {
  model: OpenModel;
  suite: Suite;
  items: readonly SuiteItem[];
  /** How several answers to each item are drawn; null, the default: one of the likeliest tokens. */
  sampling?: Sampling | null;
  /** How plain rows are cut and left out; null, the default: up to the context of the base, and none is left out. */
  readAs?: ReadAs | null;
  /** Index of the first item that is scored; those before it are done. Default 0. */
  from?: number;
  mode?: NumericMode;
  /** Asked between batches; once true, no more are scored. */
  isStopped?: () => boolean;
  /** Called after every pass. */
  onPass?: () => void;
  /** Called once the model is compiled, before the first item. */
  onReady?: () => void;
}

/** Scores the items between two places; null where it was stopped. */
export interface Run {
  model: Model;
  together: number;
  judge(first: number, end: number): Promise<EvaluationItem[] | null>;
}

/** What of an opened model is compiled. */
export const modelOf = ({ config, weights, tuned }: OpenModel, mode: NumericMode | undefined) => ({
  config,
  weights,
  ...(tuned === undefined ? {} : { tuned }),
  ...(mode === undefined ? {} : { mode }),
});

/** Says which item it is about. */
export function atItem<T>({ id }: SuiteItem, prepareIt: () => T): T {
  try {
    return prepareIt();
  } catch (cause) {
    if (!(cause instanceof AppError) || cause.param !== null) throw cause;
    throw new AppError(cause.code, `Item ${id}: ${cause.message}`, {
      param: `item ${id}`,
      hint: cause.hint ?? '',
      cause,
    });
  }
}
