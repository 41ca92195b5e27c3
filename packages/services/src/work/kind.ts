import type { Queryable } from '../ground/transaction.js';
import type { Verdict } from './verdict.js';

/** What the life of a task must know about what the task is. Its functions run in a transaction that holds the task's lock. */
export interface Kind {
  /** The value of `tasks.kind`. */
  readonly name: string;
  /** How its sentences call a task. */
  readonly noun: string;
  /** What an attempt keeps for the next one, which goes on after the last of it: "checkpoint". */
  readonly keeps: string;
  /** How the task would be tried again with less memory ("queued again with …"); null when it cannot. */
  lessMemory(client: Queryable, taskId: string): Promise<string | null>;
  /** Writes the kind's own part when an attempt ended without finishing its task. */
  ended(client: Queryable, taskId: string, verdict: Verdict): Promise<void>;
}
