import type { AttemptEvent, FailureCause, Phase, SupervisorMessage, WorkerObject } from '@moraine/contract';

/** Down the pipe: the work of an attempt, or the question what this machine can compute on. */
export type ToChild = SupervisorMessage | { type: 'probe' };

/** Up the pipe. `progress` says that the attempt got on, and with what; an event says it as well. */
export type FromChild =
  | AttemptEvent
  | { type: 'progress'; phase: Phase }
  | { type: 'device'; device: WorkerObject['device'] }
  | { type: 'no_runtime'; message: string };

export type Terminal = Extract<AttemptEvent, { type: 'finished' | 'stopped' | 'failed' }>;

export const isTerminal = (event: AttemptEvent): event is Terminal =>
  event.type === 'finished' || event.type === 'stopped' || event.type === 'failed';

/** Why a child ended without a last word. */
export interface Death {
  cause: FailureCause;
  code: string;
  message: string;
}
