import { type FailureCause, RETRYABLE_CAUSES } from '@moraine/contract';

export type Verdict = 'retry' | 'retry_smaller' | 'failed' | 'cancelled';

/** What the verdict depends on, read under the task's lock. */
export interface Facts {
  state: string | null;
  attempt: number;
  maxAttempts: number;
  /** Earlier attempts that failed or were lost, not counting those that a disk ended. */
  charged: number;
  /** Earlier attempts that a disk ended: full, or failing. These are never charged. */
  storageFaults: number;
  /** Earlier attempts that ran out of memory. */
  ooms: number;
  /** How the kind would try again with less memory; null when it cannot. */
  lessMemory: string | null;
  /** How the kind's sentences call a task, and what it goes on from. */
  noun: string;
  keeps: string;
}

export interface Ending {
  /** How the attempt ends; `superseded` is not charged to the task's budget of attempts. */
  status: 'failed' | 'lost' | 'superseded';
  cause: FailureCause;
  code: string;
  message: string;
  param?: string | null;
  /** The attempt came to the step that the task is held at: it waits, as after a pause, until whoever holds it lets it go on. */
  isHeld?: boolean;
}

export interface Decision {
  verdict: Verdict;
  /** What the task becomes. */
  next: 'queued' | 'paused' | 'failed' | 'cancelled';
  /** It waits for whoever holds it; else, paused, for whoever resumes it. */
  isHeld: boolean;
  /** Pause before the task may be claimed again. */
  delayMs: number;
  level: 'info' | 'warn' | 'error';
  /** What the task's history says. */
  sentence: string;
  /** The task's error; null unless it failed. */
  error: { code: string; message: string; param: string | null } | null;
}

const LONGEST_PAUSE_MS = 30_000;

/**
 * What becomes of a task whose attempt did not finish. It is cancelled when that was asked for; it is queued again (paused when that was asked for, or it is held) while the cause is one
 * of ours and the budget of attempts lasts (with a growing pause from the second fault on); memory that ran out earns one more try
 * that needs less of it, where the kind knows one; everything else fails the task.
 */
export function verdictOf(facts: Facts, ending: Ending): Decision {
  const verdict = choose(facts, ending);
  const { message, cause, code, param = null } = ending;
  // A pause that was asked for is the user's, also where the task would be held.
  const isHeld = ending.isHeld === true && facts.state !== 'pausing';
  const isPausing = facts.state === 'pausing' || isHeld;
  const next = isPausing ? ('paused' as const) : ('queued' as const);
  const common = { verdict, next, isHeld, delayMs: 0, error: null };
  const noun = `The ${facts.noun}`;
  const where = isPausing ? 'paused' : 'queued again';
  const again = ending.status === 'superseded' ? 'info' : 'warn';
  switch (verdict) {
    case 'cancelled':
      return { ...common, next: 'cancelled', level: 'info', sentence: `${noun} was cancelled` };
    case 'failed': {
      const budget = `This was attempt ${facts.attempt}; ${facts.charged + 1} of ${facts.maxAttempts} were charged.`;
      const error = { code, param, message: isRetryable(cause) ? `${message} ${budget}` : message };
      return { ...common, next: 'failed', level: 'error', sentence: `${noun} failed: ${message}`, error };
    }
    case 'retry_smaller':
      return { ...common, level: again, sentence: `${message} ${noun} is ${where} with ${facts.lessMemory}.` };
    case 'retry': {
      if (isHeld) return { ...common, level: again, sentence: message };
      const sentence = `${message} ${noun} is ${where} and goes on from its last ${facts.keeps}${isPausing ? ' when it is resumed' : ''}.`;
      return { ...common, level: again, sentence, delayMs: isPausing ? 0 : pauseMs(facts, ending) };
    }
  }
}

function choose(facts: Facts, { status, cause }: Ending): Verdict {
  if (facts.state === 'cancelling') return 'cancelled';
  if (status === 'superseded' || cause === 'storage') return 'retry';
  if (cause === 'oom') return facts.ooms === 0 && facts.lessMemory !== null ? 'retry_smaller' : 'failed';
  return isRetryable(cause) && facts.charged + 1 < facts.maxAttempts ? 'retry' : 'failed';
}

const isRetryable = (cause: FailureCause): boolean => RETRYABLE_CAUSES.some((one) => one === cause);

function pauseMs({ charged, storageFaults }: Facts, { status, cause }: Ending): number {
  const before = cause === 'storage' ? storageFaults : charged;
  return status !== 'failed' || before === 0 ? 0 : Math.min(LONGEST_PAUSE_MS, 1_000 * 2 ** before);
}
