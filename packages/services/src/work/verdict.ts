import { type FailureCause, RETRYABLE_CAUSES } from '@moraine/contract';

export type Verdict = 'retry' | 'retry_smaller' | 'failed' | 'cancelled';

/** What the verdict depends on, read under the run's lock. */
export interface Facts {
  state: string | null;
  attempt: number;
  maxAttempts: number;
  /** Earlier attempts that failed or were lost. */
  charged: number;
  /** Earlier attempts that ran out of memory. */
  ooms: number;
  batchSize: number;
  accumulation: number;
}

export interface Ending {
  /** How the attempt ends; `superseded` is not charged to the run's budget of attempts. */
  status: 'failed' | 'lost' | 'superseded';
  cause: FailureCause;
  code: string;
  message: string;
  param?: string | null;
}

export interface Decision {
  verdict: Verdict;
  /** Pause before the run may be claimed again. */
  delayMs: number;
  level: 'info' | 'warn' | 'error';
  /** What the run's history says. */
  sentence: string;
  /** The run's error; null unless it failed. */
  error: { code: string; message: string; param: string | null } | null;
  accumulation: number;
}

const LONGEST_PAUSE_MS = 30_000;

/**
 * What becomes of a run whose attempt did not finish. It is cancelled when that was asked for; it is queued again while the cause is one
 * of ours and the budget of attempts lasts (with a growing pause from the second fault on); memory that ran out earns one more try with
 * half the micro-batch and the same batch; everything else fails the run.
 */
export function verdictOf(facts: Facts, ending: Ending): Decision {
  const verdict = choose(facts, ending);
  const { message, cause, code, param = null } = ending;
  const common = { verdict, delayMs: 0, error: null, accumulation: facts.accumulation };
  const again = ending.status === 'superseded' ? 'info' : 'warn';
  switch (verdict) {
    case 'cancelled':
      return { ...common, level: 'info', sentence: 'The run was cancelled' };
    case 'failed': {
      const budget = `This was attempt ${facts.attempt}; ${facts.charged + 1} of ${facts.maxAttempts} were charged.`;
      const error = { code, param, message: isRetryable(cause) ? `${message} ${budget}` : message };
      return { ...common, level: 'error', sentence: `The run failed: ${message}`, error };
    }
    case 'retry_smaller': {
      const accumulation = 2 * facts.accumulation;
      const sentence = `${message} The run is queued again with micro-batches half as large (accumulation ${accumulation}); the batch stays the same.`;
      return { ...common, level: again, sentence, accumulation };
    }
    case 'retry': {
      const sentence = `${message} The run is queued again and goes on from its last checkpoint.`;
      return { ...common, level: again, sentence, delayMs: pauseMs(facts, ending) };
    }
  }
}

function choose(facts: Facts, { status, cause }: Ending): Verdict {
  if (facts.state === 'cancelling') return 'cancelled';
  if (status === 'superseded') return 'retry';
  if (cause === 'oom') {
    const canHalve = facts.batchSize % (2 * facts.accumulation) === 0;
    return facts.ooms === 0 && canHalve ? 'retry_smaller' : 'failed';
  }
  return isRetryable(cause) && facts.charged + 1 < facts.maxAttempts ? 'retry' : 'failed';
}

const isRetryable = (cause: FailureCause): boolean => RETRYABLE_CAUSES.some((one) => one === cause);

const pauseMs = ({ charged }: Facts, { status }: Ending): number =>
  status !== 'failed' || charged === 0 ? 0 : Math.min(LONGEST_PAUSE_MS, 1_000 * 2 ** charged);
