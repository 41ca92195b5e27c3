import type { AttemptEvent, Phase, StopReason } from '@moraine/contract';

/** Where a recipe reports what it does. */
export type Emit = (event: AttemptEvent) => void;

export interface Control {
  /** What the supervisor wants of a run, read between steps; null to go on. */
  stopRequested(): StopReason | null;
  /** Says that the run got on, and with what: a row, a pass, a step. What it does next may take its time. */
  progress?(phase: Phase): void;
}
