import { AppError } from '@moraine/contract';
import { trainKind } from '../training/train-kind.js';
import type { Kind } from '../work/kind.js';

/** Every kind of task that there is, by its name. */
export const KINDS: ReadonlyMap<string, Kind> = new Map([trainKind].map((kind) => [kind.name, kind]));

/** @throws AppError `internal` for a kind that this build does not know. */
export function kindOf(name: string, kinds: ReadonlyMap<string, Kind> = KINDS): Kind {
  const kind = kinds.get(name);
  if (!kind) throw new AppError('internal', `This build knows no tasks of kind '${name}'.`);
  return kind;
}
