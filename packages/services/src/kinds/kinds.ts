import { AppError, type TaskKind } from '@moraine/contract';
import { analyseKind } from '../analysis/analyse-kind.js';
import { evaluateKind } from '../evaluation/evaluate-kind.js';
import { trainKind } from '../training/train-kind.js';
import { verifyKind } from '../training/verify-kind.js';
import type { Kind } from '../work/kind.js';

const ALL: { readonly [K in TaskKind]: Kind } = {
  train: trainKind,
  verify: verifyKind,
  evaluate: evaluateKind,
  analyse: analyseKind,
};

/** Every kind of task that there is, by its name. */
export const KINDS: ReadonlyMap<string, Kind> = new Map(Object.entries(ALL));

/** @throws AppError `internal` for a kind that this build does not know. */
export function kindOf(name: string, kinds: ReadonlyMap<string, Kind> = KINDS): Kind {
  const kind = kinds.get(name);
  if (!kind) throw new AppError('internal', `This build knows no tasks of kind '${name}'.`);
  return kind;
}
