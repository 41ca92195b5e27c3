import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { AppError, explain, type JobSpec, type StopReason } from '@moraine/contract';
import { makeFolder } from '@moraine/contract/make-folder';
import {
  type Claim,
  type Failure,
  failAttempt,
  isDiskFault,
  isStorageFull,
  releaseAttempt,
  renewLease,
  type Services,
} from '@moraine/services';
import type { Logger } from 'pino';
import { attemptSink } from './attempt-sink.js';
import { keepBacklog, removeBacklog } from './backlog.js';
import { type Death, isTerminal, type Terminal } from './child-protocol.js';
import { workOf } from './kinds.js';
import { openLivePublisher } from './live-publisher.js';
import { openOutbox } from './outbox.js';
import { isStale, untilDone } from './retry.js';
import { startTrainingChild, type TrainingChild } from './training-child.js';

export interface AttemptSettings {
  script: string;
  /** Folder of this worker; the attempt gets one of its own below it. */
  workDir: string;
  cacheDir: string;
  threads: number;
  memoryLimitBytes: number;
  /** How much lower than other programs of this machine the training process runs, 0 to 19. */
  nice: number;
  /** What waits for Postgres on this machine's disk; more holds the training. */
  backlogLimitBytes: number;
  leaseMs: number;
  renewEveryMs: number;
  /** From a request to stop to the kill. */
  cancelDeadlineMs: number;
  drainDeadlineMs: number;
  /** Nothing is in a hurry: the step that it is in, and its checkpoint, may take so long. */
  pauseDeadlineMs: number;
  /** Without progress for so long an attempt counts as stuck; null: by what it does. */
  stuckAfterMs: number | null;
}

export interface RunningAttempt {
  taskId: string;
  stop(reason: StopReason): void;
  /** Resolves, and never rejects, when nothing of the attempt is left in this process; returns what a disk ended it with, or null. */
  done: Promise<string | null>;
}

/** A process that has said its last word ends within so long; what it writes later is lost. */
const LAST_LINES_MS = 1_000;

const deadlineOf = (reason: StopReason, settings: AttemptSettings): number =>
  ({ cancel: settings.cancelDeadlineMs, drain: settings.drainDeadlineMs, pause: settings.pauseDeadlineMs })[reason];

/**
 * Executes a claim: inputs, child, and everything that the child says into Postgres and the live stream in order; renews the lease
 * meanwhile. Ends the attempt exactly one way, or, when another worker has taken the run over, leaves without a trace.
 */
export function runAttempt(s: Services, claim: Claim, settings: AttemptSettings, parentLog: Logger): RunningAttempt {
  const { token } = claim;
  const work = workOf(s, claim);
  const log = parentLog.child({ runId: token.taskId, attempt: token.attempt });
  const abandoned = new AbortController();
  let child: TrainingChild | null = null;
  let stopReason: StopReason | null = null;
  let isWaiting = false;
  let last: Terminal | null = null;

  const stop = (reason: StopReason): void => {
    // A cancel overrides the others: the run is not to go on elsewhere.
    if (stopReason === 'cancel' || stopReason === reason) return;
    log.info({ reason }, 'stopping after the step');
    stopReason = reason;
    child?.stop(reason, deadlineOf(reason, settings));
  };
  const abandon = (): void => {
    if (abandoned.signal.aborted) return;
    log.warn('the run has ended or another worker has it; this attempt stops and writes nothing more');
    abandoned.abort();
    child?.kill();
  };
  const onWait = (error: unknown): void => {
    if (!isWaiting) log.warn({ err: error }, 'a server is away; what the run says is kept and sent later');
    isWaiting = true;
  };
  const persist = <T>(work: () => Promise<T>): Promise<T> => untilDone(work, { signal: abandoned.signal, onWait });

  let renewing = false;
  const renew = async (): Promise<void> => {
    if (renewing) return;
    renewing = true;
    try {
      const { wish } = await renewLease(s, token, { leaseMs: settings.leaseMs, idleMs: child?.idleMs() ?? null });
      if (wish) stop(wish);
      if (isWaiting) log.info('the servers are back');
      isWaiting = false;
    } catch (error) {
      // After the child's last word the attempt may just have been ended by it; writing that word says if another has the run.
      if (isStale(error) && last === null) abandon();
      else if (!isStale(error)) onWait(error);
    } finally {
      renewing = false;
    }
  };

  const attemptName = `${token.taskId}-${token.attempt}`;

  /** The child's whole life; returns how it ended. Its last word, if it had one, is `last`. */
  const runChild = async (spec: JobSpec): Promise<Death> => {
    const live = openLivePublisher(s, token.taskId, token.attempt);
    const kindSink = work.sink(live, stop);
    const sink = attemptSink({ s, token, live, work, kindSink });
    const outbox = openOutbox(sink, {
      onWait,
      spool: keepBacklog(settings.workDir, attemptName, claim, settings.backlogLimitBytes, log),
      onFull: (isFull) => {
        log.warn({ isFull }, isFull ? 'too much waits to be stored; training is held' : 'training goes on');
        child?.hold(isFull && stopReason === null);
      },
      onError: (error) => {
        if (isStale(error)) abandon();
        else log.error({ err: error }, 'what the run says cannot be stored; the attempt ends');
        child?.kill();
      },
    });
    abandoned.signal.addEventListener('abort', () => outbox.close());
    let lastPushed = Promise.resolve();
    // Lines come by another way than events: those written before the last word are stored before it, which ends the attempt.
    const pushLast = async (event: Terminal): Promise<void> => {
      await Promise.race([running.ended, sleep(LAST_LINES_MS, undefined, { ref: false })]);
      outbox.push(event);
    };
    const running = startTrainingChild({
      ...settings,
      onEvent: (event) => {
        if (last) return;
        if (!isTerminal(event)) return outbox.push(event);
        last = event;
        lastPushed = pushLast(event);
      },
      onLog: (line) => {
        log.info({ child: line.level }, line.message);
        outbox.log(line);
      },
    });
    child = running;
    log.info({ childPid: running.pid }, 'training process started');
    running.start(spec);
    if (stopReason) running.stop(stopReason, deadlineOf(stopReason, settings));
    try {
      const death = await running.ended;
      await lastPushed;
      await outbox.drained();
      await live.flush(1_000);
      return death;
    } finally {
      live.close();
    }
  };

  const endWithoutWord = async (death: Death): Promise<void> => {
    if (stopReason === 'cancel') await persist(() => work.cancel({ step: null, trainedTokens: null }));
    else if (stopReason === 'drain') await persist(() => releaseAttempt(s, token, 'The worker was stopped.'));
    else if (stopReason === 'pause') await persist(() => releaseAttempt(s, token, 'The attempt was stopped.'));
    else await persist(() => failAttempt(s, token, death));
  };

  let diskFault: string | null = null;
  const execute = async (): Promise<void> => {
    const outDir = join(settings.workDir, attemptName);
    const timer = setInterval(() => void renew().catch(() => undefined), settings.renewEveryMs);
    try {
      makeFolder(outDir, 0o700);
      const { cacheDir, threads } = settings;
      const spec = await work.prepare({ cacheDir, outDir, threads, log, persist });
      // Asked to stop while the inputs were fetched: no process is needed for that.
      if (stopReason)
        return await endWithoutWord({ cause: 'preempted', code: 'released', message: 'Stopped before the start.' });
      const death = await runChild(spec);
      if (abandoned.signal.aborted) return;
      if (last) {
        log.info({ end: last.type }, 'attempt ended');
        if (last.type === 'failed' && last.cause === 'storage') diskFault = last.message;
      } else {
        log.warn(death, 'the training process ended without a last word');
        await endWithoutWord(death);
      }
    } catch (error) {
      if (abandoned.signal.aborted || isStale(error)) return abandon();
      log.error({ err: error }, 'attempt failed outside the training process');
      const failure = failureOutside(error);
      if (failure.cause === 'storage') diskFault = failure.message;
      await persist(() => failAttempt(s, token, failure)).catch((cause: unknown) =>
        log.error({ err: cause }, 'the lease will run out'),
      );
    } finally {
      clearInterval(timer);
      child?.kill();
      await rm(outDir, { recursive: true, force: true }).catch(() => undefined);
      await removeBacklog(settings.workDir, attemptName);
    }
  };

  return { taskId: token.taskId, stop, done: execute().then(() => diskFault) };
}

/** Why an attempt failed outside the training process. A disk that is full or fails is nobody's fault and never charged; all else is ours. */
function failureOutside(error: unknown): Failure {
  const message = explain(error);
  if (isDiskFault(error)) return { cause: 'storage', code: isStorageFull(error) ? 'storage_full' : 'storage', message };
  return { cause: 'internal', code: error instanceof AppError ? error.code : 'internal', message };
}
