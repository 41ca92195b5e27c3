import { type ChildProcess, fork } from 'node:child_process';
import type { AttemptEvent, JobSpec, Phase, StopReason } from '@moraine/contract';
import type { NewLogLine } from '@moraine/services';
import type { Death, FromChild, ToChild } from './child-protocol.js';
import { childEnv } from './env.js';
import { captureLines } from './log-lines.js';
import { oomKills, residentBytes } from './memory.js';
import { lowerPriority } from './priority.js';
import { watchProgress } from './stuck.js';

export interface ChildOptions {
  /** The program that trains: apps/worker/dist/attempt.js, or another that speaks the same protocol. */
  script: string;
  threads: number;
  memoryLimitBytes: number;
  /** Without progress for so long the child counts as stuck; null: by what it does. */
  stuckAfterMs: number | null;
  /** How much lower than other programs of this machine it runs, 0 to 19. */
  nice?: number;
  onEvent(event: AttemptEvent): void;
  onLog(line: NewLogLine): void;
}

export interface TrainingChild {
  pid: number | undefined;
  start(spec: JobSpec): void;
  /**
   * Asks to stop after the step; kills after `deadlineMs`, or after that of an earlier request where that is sooner. A child that still prepares has
   * nothing to save and may be in a row that takes long: it is killed after a second.
   */
  stop(reason: StopReason, deadlineMs: number): void;
  kill(): void;
  /** Milliseconds since it got on last. */
  idleMs(): number;
  /** Stops its time, and lets it go on: nobody takes what it says for now. */
  hold(isHeld: boolean): void;
  /** Resolves when the process has ended and everything it sent has been handed over; returns why it ended. */
  ended: Promise<Death>;
}

const WATCH_MS = 500;
const PREPARING_MS = 1_000;

/** Starts the process of one attempt. It has no connections but the pipe to us, and ends when that breaks. */
export function startTrainingChild(options: ChildOptions): TrainingChild {
  const child = fork(options.script, [], {
    env: childEnv(options.threads),
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    serialization: 'advanced',
    // A session of its own, which can be lowered as a whole. It still ends with us: its pipe breaks.
    detached: true,
  });
  if (child.pid !== undefined) lowerPriority(child.pid, options.nice ?? 0);
  const oomKillsBefore = oomKills();
  const progress = watchProgress(options.stuckAfterMs);
  let peakBytes = 0;
  let isHeld = false;
  let killedFor: Death | null = null;
  let deadline: NodeJS.Timeout | undefined;
  let deadlineAt = Number.POSITIVE_INFINITY;

  const kill = (why: Death | null = null): void => {
    killedFor ??= why;
    child.kill('SIGKILL');
  };
  const watch = setInterval(() => {
    const bytes = child.pid === undefined ? null : residentBytes(child.pid);
    peakBytes = Math.max(peakBytes, bytes ?? 0);
    if (bytes !== null && bytes > options.memoryLimitBytes) kill(outOfMemory(bytes, options.memoryLimitBytes));
    const stuck = isHeld ? null : progress.stuck();
    if (stuck) kill(stuck);
  }, WATCH_MS);

  child.on('message', (message: FromChild) => {
    if (message.type === 'device' || message.type === 'no_runtime') return;
    const phase = phaseOf(message);
    if (phase) progress.saw(phase);
    if (message.type === 'progress') return;
    options.onEvent(message);
  });
  captureLines(
    [
      { stream: child.stdout, level: 'info' },
      { stream: child.stderr, level: 'warn' },
    ],
    options.onLog,
  );

  const hold = (held: boolean): void => {
    if (held === isHeld) return;
    isHeld = held;
    progress.resumed();
    child.kill(held ? 'SIGSTOP' : 'SIGCONT');
  };

  return {
    pid: child.pid,
    hold,
    start: (spec) => send(child, { type: 'start', spec }),
    stop(reason, mostMs) {
      // It must hear it, and save what it has.
      hold(false);
      send(child, { type: 'stop', reason });
      const deadlineMs = progress.hasWorked ? mostMs : Math.min(mostMs, PREPARING_MS);
      if (performance.now() + deadlineMs >= deadlineAt) return;
      deadlineAt = performance.now() + deadlineMs;
      clearTimeout(deadline);
      deadline = setTimeout(() => kill(), deadlineMs);
    },
    kill: () => kill(),
    idleMs: () => (isHeld ? 0 : performance.now() - progress.progressAt),
    ended: new Promise((resolve) => {
      const end = (death: Death): void => {
        clearInterval(watch);
        clearTimeout(deadline);
        resolve(death);
      };
      // `close` comes after the last message and the last byte of its output.
      child.once('close', (code, signal) => {
        const isOom =
          signal === 'SIGKILL' && (oomKills() > oomKillsBefore || peakBytes > 0.8 * options.memoryLimitBytes);
        end(killedFor ?? (isOom ? outOfMemory(peakBytes, options.memoryLimitBytes) : deathOf(code, signal)));
      });
      child.once('error', (error) => {
        if (child.pid === undefined)
          end({
            cause: 'internal',
            code: 'no_process',
            message: `The training process did not start: ${error.message}.`,
          });
      });
    }),
  };
}

/** What a child does when it has said this; null for what does not say that it got on. */
function phaseOf(message: AttemptEvent | Extract<FromChild, { type: 'progress' }>): Phase | null {
  switch (message.type) {
    case 'progress':
      return message.phase;
    case 'evaluation':
    case 'evaluating':
    case 'items':
      return 'evaluation';
    case 'analysing':
    case 'analysis_rows':
      return 'analysis';
    case 'message':
      return null;
    default:
      return 'step';
  }
}

function send(child: ChildProcess, message: ToChild): void {
  if (child.connected) child.send(message, () => undefined);
}

const megabytes = (bytes: number): string => `${Math.round(bytes / 2 ** 20)} MB`;

const outOfMemory = (bytes: number, limit: number): Death => ({
  cause: 'oom',
  code: 'out_of_memory',
  message: `Memory ran out: the training process held ${megabytes(bytes)} of at most ${megabytes(limit)}.`,
});

function deathOf(code: number | null, signal: NodeJS.Signals | null): Death {
  if (signal)
    return { cause: 'hardware', code: 'process_killed', message: `The training process was ended by ${signal}.` };
  return {
    cause: 'internal',
    code: 'process_exited',
    message: `The training process ended with status ${code ?? 'unknown'} before the run did.`,
  };
}
