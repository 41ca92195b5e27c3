import type { AttemptEvent, StopReason } from '@moraine/contract';

/** Where a recipe reports what it does. */
export type Emit = (event: AttemptEvent) => void;

export interface Control {
  /** What the supervisor wants of a run, read between steps; null to go on. */
  stopRequested(): StopReason | null;
}
