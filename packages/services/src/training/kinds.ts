import { AppError, type TaskKind } from '@moraine/contract';
import type { Kind } from '../work/kind.js';
import { trainKind } from './train-kind.js';
import { verifyKind } from './verify-kind.js';

const ALL: { readonly [K in TaskKind]: Kind } = { train: trainKind, verify: verifyKind };

/** Every kind of task that there is, by its name. */
export const KINDS: ReadonlyMap<string, Kind> = new Map(Object.entries(ALL));

/** @throws AppError `internal` for a kind that this build does not know. */
export function kindOf(name: string, kinds: ReadonlyMap<string, Kind> = KINDS): Kind {
  const kind = kinds.get(name);
  if (!kind) throw new AppError('internal', `This build knows no tasks of kind '${name}'.`);
  return kind;
}
