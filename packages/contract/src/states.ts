import { z } from 'zod';

/** The words of the OpenAI API for a job, plus `paused` (its own pause example returns it). */
export const RunStatus = z.enum([
  'validating_files',
  'queued',
  'running',
  'paused',
  'succeeded',
  'failed',
  'cancelled',
]);
export type RunStatus = z.infer<typeof RunStatus>;
export const TERMINAL_STATUSES = ['succeeded', 'failed', 'cancelled'] as const satisfies readonly RunStatus[];
export const isTerminal = (status: RunStatus): boolean => (TERMINAL_STATUSES as readonly string[]).includes(status);

/** The true phase beside the wire status; null when the status says it all. */
export const RunState = z.enum(['provisioning', 'lost_contact', 'draining', 'checkpointing', 'pausing', 'cancelling']);
export type RunState = z.infer<typeof RunState>;

export const StateReason = z.object({ code: z.string(), message: z.string(), since: z.number().int() });
export type StateReason = z.infer<typeof StateReason>;

export const AttemptStatus = z.enum(['claimed', 'provisioning', 'running', 'finished', 'failed', 'lost', 'superseded']);
export type AttemptStatus = z.infer<typeof AttemptStatus>;

/** Why an attempt ended badly. The last five retry by themselves within a budget, `oom` once with half the micro-batch. */
export const FailureCause = z.enum([
  'user_data',
  'user_config',
  'oom',
  'nan',
  'hardware',
  'lost_worker',
  'preempted',
  'storage',
  'internal',
]);
export type FailureCause = z.infer<typeof FailureCause>;
export const RETRYABLE_CAUSES: readonly FailureCause[] = [
  'hardware',
  'lost_worker',
  'preempted',
  'storage',
  'internal',
];

export const WorkerStatus = z.enum([
  'registering',
  'ready',
  'busy',
  'cordoned',
  'draining',
  'unhealthy',
  'lost',
  'gone',
]);
export type WorkerStatus = z.infer<typeof WorkerStatus>;
