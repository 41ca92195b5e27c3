import type { Phase } from '@moraine/contract';
import type { Death } from './child-protocol.js';

const MINUTE = 60_000;

/** What an attempt may be at: the phases of its child; before, its inputs are fetched, and beside, what it made is stored. */
export type AttemptPhase = Phase | 'starting';

/**
 * How long an attempt may be without progress, by what it does. A row has half a minute, and the child itself ends one that takes longer; a
 * base of 100 GB is read and hashed without a word, a step of a large model on a processor takes minutes, and
 * so does each decomposition of a large weight, of which a layer has five.
 */
const STUCK_AFTER_MS: Record<AttemptPhase, number> = {
  starting: 5 * MINUTE,
  loading: 60 * MINUTE,
  encoding: 10 * MINUTE,
  tracing: 30 * MINUTE,
  step: 15 * MINUTE,
  evaluation: 30 * MINUTE,
  analysis: 120 * MINUTE,
  checkpoint: 15 * MINUTE,
  export: 60 * MINUTE,
};
/** Nor is a step stuck that takes a little longer than those before it. */
const SLOWEST_TIMES = 20;

const DOING: Record<AttemptPhase, string> = {
  starting: 'while it started',
  loading: 'while it read the base',
  encoding: 'while it encoded the rows',
  tracing: 'while it made the graph of a step',
  step: 'in a step',
  evaluation: 'in an evaluation',
  analysis: 'while it measured a weight',
  checkpoint: 'while it wrote a checkpoint',
  export: 'while it wrote the adapter',
};

/** What comes before the work itself: whoever is stopped there has nothing to save. */
const PREPARING: ReadonlySet<AttemptPhase> = new Set(['starting', 'loading', 'encoding', 'tracing']);

/** Watches over the progress of a process. Times are milliseconds of a clock that never jumps. */
export interface ProgressWatch {
  /** The attempt got on; it is now at this. */
  saw(phase: AttemptPhase): void;
  /** It was held and goes on: the time between does not count. */
  resumed(): void;
  /** When it got on last. */
  readonly progressAt: number;
  /** Whether it has come so far that there is something to save. */
  readonly hasWorked: boolean;
  /** Why the process is to be ended; null while it gets on. */
  stuck(): Death | null;
}

/** @param afterMs for every phase, instead of each its own */
export function watchProgress(afterMs: number | null, now: () => number = () => performance.now()): ProgressWatch {
  let phase: AttemptPhase = 'starting';
  let at = now();
  let slowestMs = 0;
  let hasWorked = false;
  return {
    saw(next) {
      hasWorked ||= !PREPARING.has(next);
      const seenAt = now();
      if (phase === next) slowestMs = Math.max(slowestMs, seenAt - at);
      else slowestMs = 0;
      [phase, at] = [next, seenAt];
    },
    resumed() {
      at = now();
    },
    get progressAt() {
      return at;
    },
    get hasWorked() {
      return hasWorked;
    },
    stuck() {
      const limit = afterMs ?? Math.max(STUCK_AFTER_MS[phase], SLOWEST_TIMES * slowestMs);
      return now() - at > limit ? deathOf(phase, limit) : null;
    },
  };
}

/** Rows on which encoding never ends do not end on another worker either. */
const deathOf = (phase: AttemptPhase, limitMs: number): Death => ({
  cause: phase === 'encoding' ? 'user_data' : 'internal',
  code: phase === 'encoding' ? 'user_data' : 'stuck',
  message: `The training process gave no sign of progress for ${Math.round(limitMs / 1000)} seconds ${DOING[phase]}.`,
});
